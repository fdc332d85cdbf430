"""How nodes end: in words, whether they are restarted, and when they are late."""

import os
import signal
from collections.abc import Sequence
from typing import Literal

from distrl.config import Config, LaunchConfig
from distrl.launch.groups import find_group
from distrl.launch.logs import read_last_lines
from distrl.launch.run_directory import node_file
from distrl.system.children import name_signal

End = Literal["killed", "hung", "failed", "ended"]
"""Killed by a signal; killed since it hung; with an error; by itself, exit code 0."""

# The values of launch.restart that restart a node after its end.
_RESTARTED: dict[End, tuple[str, ...]] = {
    "killed": ("killed", "always"),
    "hung": ("killed", "always"),
    "failed": ("always",),
    "ended": (),
}


def describe_kill(number: int, memory_ran_out: bool) -> str:
    """Returns, for example, `killed by SIGKILL (out of memory)`."""
    why = " (out of memory)" if number == signal.SIGKILL and memory_ran_out else ""
    return f"killed by {name_signal(number)}{why}"


def describe_end(
    status: int, raised: bool, fault: str | None, memory_ran_out: bool = False
) -> tuple[End, str]:
    """Returns how a node ended, and a description that follows the node's name.

    `status` is from `os.waitpid`; `raised`: the node sent a traceback; `fault`: how it
    hung, if it was killed for that.
    """
    if raised:
        return "failed", "raised an exception"
    if fault is not None:
        return "hung", fault
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return "killed", f"was {describe_kill(-code, memory_ran_out)}"
    end: End = "failed" if code else "ended"
    return end, f"ended by itself, exit code {code}, while the run continued"


def read_log_end(run_dir: str | None, node: str, end: End) -> str:
    """Returns the last lines of a node's log, under a heading."""
    # A node that hung dumps the stacks of all threads; the main thread comes last.
    count = 60 if end == "hung" else 15
    log = node_file(run_dir, "logs", node, ".log")
    try:
        with log.open("rb") as file:
            lines = read_last_lines(file.fileno(), count)
    except OSError as error:
        lines = [str(error)]
    return "\n".join([f"The end of {log}:", *lines])


def decide(
    launch: LaunchConfig, end: End, restarted_at: Sequence[float], now: float
) -> float | str:
    """Returns the seconds until a node is restarted, or why not, if a limit forbids it.

    `restarted_at` has the times of its earlier restarts.
    """
    if launch.restart not in _RESTARTED[end]:
        return ""
    window, most = launch.restart_window_seconds, launch.max_restarts
    recent = sum(now - then <= window for then in restarted_at)
    if recent >= most:
        limit = f"launch.max_restarts = {most} allows no more restarts within"
        return f"{limit} {window:g} s (launch.restart_window_seconds)."
    # After 60 doublings every delay exceeds the window, and by then that is over.
    return min(launch.restart_delay_seconds * 2.0 ** min(recent, 60), window)


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
