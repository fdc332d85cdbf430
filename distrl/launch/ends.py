"""Descriptions of how processes ended, including kills for lack of memory."""

import os
import signal
import time
from pathlib import Path

from distrl.launch.logs import read_last_lines
from distrl.launch.restarts import End
from distrl.launch.run_directory import node_file
from distrl.system.children import name_signal

_VMSTAT = Path("/proc/vmstat")
# A process that is killed for memory may take a while to end.
_RECENT_SECONDS = 5.0
_LOG_LINES = 15
# A node that hung dumps the stacks of all threads; the main thread comes last.
_DUMP_LINES = 60


class MemoryKills:
    """Notices when the kernel kills for memory; it does not say which process."""

    def __init__(self, vmstat: Path = _VMSTAT) -> None:
        """Ignores earlier kills."""
        self._vmstat = vmstat
        self._count = count_memory_kills(vmstat)
        self._noticed_at: float | None = None

    def tick(self) -> None:
        """Looks for new kills."""
        count = count_memory_kills(self._vmstat)
        if count > self._count:
            self._noticed_at = time.monotonic()
        self._count = count

    def was_recent(self) -> bool:
        """Whether a kill was noticed in the last few seconds."""
        self.tick()
        if self._noticed_at is None:
            return False
        return time.monotonic() - self._noticed_at < _RECENT_SECONDS


def count_memory_kills(vmstat: Path = _VMSTAT) -> int:
    """Returns how many processes the kernel has killed for memory; 0 where unknown.

    Includes kills for the memory limit of a container (cgroup).
    """
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines)
    return int(counts.get("oom_kill", 0))


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
