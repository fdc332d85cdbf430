"""When a node that ended is started again: a rule of times, without a process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distrl.config.schema import LaunchConfig

End = Literal["killed", "hung", "failed", "ended"]
"""By a signal; by the launcher, since it hung; with an error; by itself, code 0."""

# Beyond so many doublings every delay is over the window.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True)
class Decision:
    """What is done about a node that ended.

    Attributes:
      delay: the seconds after which it is started again; None fails the run.
      reason: why it is not, where it was started again before; None otherwise.
    """

    delay: float | None
    reason: str | None = None


def decide(
    launch: LaunchConfig, end: End, restarted_at: Sequence[float], now: float
) -> Decision:
    """Decides whether a node that ended while the run goes on is started again.

    Args:
      launch: what the run allows.
      end: how the node ended.
      restarted_at: when it was started again so far, in seconds of the clock of `now`.
      now: when it ended.
    """
    if not _is_forgiven(launch, end):
        return Decision(None)
    window = launch.restart_window_seconds
    recent = sum(now - then <= window for then in restarted_at)
    if recent >= launch.max_restarts:
        reason = None
        if recent:
            times = "once" if recent == 1 else f"{recent} times"
            reason = (
                f"It had been started again {times} within {window:g} s, as "
                "often as launch.max_restarts allows in launch.restart_window_seconds."
            )
        return Decision(None, reason)
    delay = launch.restart_delay_seconds * 2.0 ** min(recent, _MOST_DOUBLINGS)
    # Longer would not help: by then the window is over.
    return Decision(min(delay, window))


def _is_forgiven(launch: LaunchConfig, end: End) -> bool:
    if end in ("killed", "hung"):
        return launch.restart != "never"
    return end == "failed" and launch.restart == "always"
