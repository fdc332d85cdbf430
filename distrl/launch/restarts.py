"""The rules for when a node is restarted, and when it is late to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distrl.config import Config, LaunchConfig
from distrl.launch.groups import find_group

End = Literal["killed", "hung", "failed", "ended"]
"""Killed by a signal; killed since it hung; with an error; by itself, exit code 0."""

# After this many doublings every delay exceeds the window.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True)
class Decision:
    """Whether a node that ended is restarted.

    Attributes:
      delay: the seconds until it is restarted; None fails the run.
      reason: why it is not restarted, if it was before.
    """

    delay: float | None
    reason: str | None = None


def decide(
    launch: LaunchConfig, end: End, restarted_at: Sequence[float], now: float
) -> Decision:
    """Decides whether to restart a node that ended during the run."""
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
    # A longer delay would not help: by then the window is over.
    return Decision(min(delay, window))


def _is_forgiven(launch: LaunchConfig, end: End) -> bool:
    if end in ("killed", "hung"):
        return launch.restart != "never"
    return end == "failed" and launch.restart == "always"


def stop_limit(config: Config, group: str) -> float:
    """Returns the seconds after a stop at which the nodes of a group are killed."""
    seconds = config.launch.stop_seconds
    return seconds + config.checkpoint.save_seconds * find_group(group).saves


def is_late(config: Config, group: str, passed: float, silence: float | None) -> bool:
    """Whether a node that still runs has used up its time to end.

    `passed` are the seconds since the stop, `silence` those since its main thread last
    looked at its stop flag; None if it never has.
    """
    launch = config.launch
    if passed < launch.stop_seconds:
        return False
    if silence is None or silence > min(launch.silent_seconds, launch.stop_seconds):
        # It is not saving: it hangs, or has not begun to work.
        return True
    return passed >= stop_limit(config, group)
