"""Descriptions of how processes ended."""

import os
import signal

from distrl.launch.logs import read_last_lines
from distrl.launch.restarts import End
from distrl.launch.run_directory import node_file
from distrl.system.children import name_signal

_LOG_LINES = 15
# A node that hung dumps the stacks of all threads; the main thread comes last.
_DUMP_LINES = 60


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
    return end, f"ended by itself, exit code {code}, while the run went on"


def read_log_end(run_dir: str, node: str, end: End) -> str:
    """Returns the last lines of a node's log, under a heading."""
    count = _DUMP_LINES if end == "hung" else _LOG_LINES
    log = node_file(run_dir, "logs", node, ".log")
    try:
        with log.open("rb") as file:
            lines = read_last_lines(file.fileno(), count)
    except OSError as error:
        lines = [str(error)]
    return "\n".join([f"The end of {log}:", *lines])
