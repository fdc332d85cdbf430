"""The rules for when a node is restarted, and when it is late to end."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from distrl.config import Config, LaunchConfig
from distrl.launch.groups import find_group

End = Literal["killed", "hung", "failed", "ended"]
"""Killed by a signal; killed since it hung; with an error; by itself, exit code 0."""

# The values of launch.restart that restart a node after its end.
_RESTARTED: dict[End, tuple[str, ...]] = {
    "killed": ("killed", "always"),
    "hung": ("killed", "always"),
    "failed": ("always",),
    "ended": (),
}
# After this many doublings every delay exceeds the window.
_MOST_DOUBLINGS = 60


class Decision(NamedTuple):
    """The seconds until a node is restarted; None fails the run, for a reason."""

    delay: float | None
    reason: str = ""


def decide(
    launch: LaunchConfig, end: End, restarted_at: Sequence[float], now: float
) -> Decision:
    """Decides whether to restart a node that ended during the run."""
    if launch.restart not in _RESTARTED[end]:
        return Decision(None)
    window, most = launch.restart_window_seconds, launch.max_restarts
    recent = sum(now - then <= window for then in restarted_at)
    if recent >= most:
        limit = f"launch.max_restarts = {most} allows no more restarts within"
        return Decision(None, f"{limit} {window:g} s (launch.restart_window_seconds).")
    delay = launch.restart_delay_seconds * 2.0 ** min(recent, _MOST_DOUBLINGS)
    # A longer delay would not help: by then the window is over.
    return Decision(min(delay, window))


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
