"""When a run is done."""

from distrl.config import StopConfig
from distrl.telemetry.status import Status


def find_stop_reason(stop: StopConfig, status: Status) -> str | None:
    """Returns which stop condition holds, in words; None while none does."""
    measured: dict[str, float | None] = {
        "evaluation_return": status.evaluation_return,
        "env_steps": status.env_steps,
        "learner_steps": status.learner_steps,
        "episodes": status.episodes,
        "seconds": status.seconds,
    }
    for name, value in measured.items():
        limit = getattr(stop, name)
        if limit is not None and value is not None and value >= limit:
            return f"{name} {value:g} reached {limit:g}"
    return None
