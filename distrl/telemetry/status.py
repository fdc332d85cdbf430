"""The status of a run, as in status.json."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints.layout import RunProgress
from distrl.system.output import write_json

STATUS_FILE = "status.json"
"""The file of the run directory that holds the newest status."""

_RATE_SECONDS = 1.0


@dataclass(frozen=True)
class Status(RunProgress):
    """The progress, rates and gauges of a run; None where not known yet."""

    env_steps_per_second: float = 0.0
    """The rate of env_steps over the last second or more."""
    learner_steps_per_second: float = 0.0
    """The rate of learner_steps over the last second or more."""
    samples_per_insert: float | None = None
    """Transitions sampled for each transition inserted, over the whole run."""
    replay_size: int | None = None
    """Transitions in replay."""
    staleness: float | None = None
    """Learner steps by which the actors' parameters are behind, the largest."""
    staleness_seconds: float | None = None
    """Seconds since an actor's parameters were the newest published, the largest."""
    training_return: float | None = None
    """The mean return of the actors' latest episodes, exploration included."""
    checkpoint: int | None = None
    """The learner step of the newest whole checkpoint."""
    failed_saves: int = 0
    """Checkpoints that were given up or could not be saved."""
    nodes_alive: int = 0
    """The nodes that reported within launch.silent_seconds."""
    reason: str | None = None
    """Why the run stops, once it does."""


class Rates:
    """Rates of env_steps and learner_steps, over intervals of at least a second."""

    def __init__(self, progress: RunProgress):
        """Starts from the newest progress."""
        self._before = progress
        self._rates: dict[str, Any] = {}

    def update(self, progress: RunProgress) -> dict[str, Any]:
        """Takes the newest progress, and returns the rates as fields of `Status`."""
        seconds = progress.seconds - self._before.seconds
        if seconds >= _RATE_SECONDS:
            for name in ("env_steps", "learner_steps"):
                # Counts fall when a restarted learner continues from a checkpoint.
                added = max(0, getattr(progress, name) - getattr(self._before, name))
                self._rates[f"{name}_per_second"] = round(added / seconds, 1)
            self._before = progress
        return self._rates


def write_status(run_dir: str | Path, status: Status) -> None:
    """Replaces the status file of a run."""
    path = Path(run_dir) / STATUS_FILE
    write_json(path, dataclasses.asdict(status), durable=False)


def read_status(run_dir: str | Path) -> Status | None:
    """Returns the status of a run, or None if it cannot be read."""
    try:
        return Status(**json.loads((Path(run_dir) / STATUS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
