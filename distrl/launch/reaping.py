"""Functions that find and kill processes: descendants, a group, a tree."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Container

import psutil

from distrl.system import IS_LINUX

MARKS = 2**20
"""A run whose front has the pid P marks its processes with P * MARKS and more."""

_RLIMIT_LOCKS = 10
_KILL_SECONDS = 5.0
_SLICE_SECONDS = 0.01


def mark_process(mark: int) -> None:
    """Marks this process and everything that it starts from now on.

    The mark is a resource limit that Linux has ignored since 2.4. It is inherited
    through forks, sessions, other programs and changes of parents, so it tells who
    started a process whose parent has ended. Other systems have no such limit.
    """
    if not IS_LINUX:
        return
    hard = resource.getrlimit(_RLIMIT_LOCKS)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_LOCKS, (mark, hard))


def read_mark(pid: int = 0) -> int:
    """Returns the mark of a process (0 is this one); 0 if it has ended or has none."""
    if not IS_LINUX:
        return 0
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0]
    except OSError:
        return 0


def find_descendants(
    root: int, marks: range | None = None, spared: Container[int] = ()
) -> list[int]:
    """Returns the running descendants of `root`.

    `marks` keeps only processes with these marks; `spared` are pids to leave out.
    """
    try:
        descendants = psutil.Process(root).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [
        process.pid
        for process in descendants
        if (marks is None or read_mark(process.pid) in marks)
        and process.pid not in spared
        and _is_running(process)
    ]


def kill_descendants(
    root: int, marks: range | None = None, spared: Container[int] = ()
) -> None:
    """Kills what `find_descendants` finds until it finds nothing.

    Processes may fork meanwhile. It gives up after a while on one that cannot be
    killed, for example while it waits for a disk.
    """
    give_up = time.monotonic() + _KILL_SECONDS
    killed: set[int] = set()
    while found := find_descendants(root, marks, spared):
        _kill(found)
        if time.monotonic() > give_up:
            return
        killed.update(found)
        time.sleep(_SLICE_SECONDS)
    # Some are children of this process.
    for pid in killed:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def kill_group(group: int) -> None:
    """Kills every process of a group, if it has any."""
    # macOS refuses permission where all of them have ended, but were not reaped.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_tree(root: int) -> None:
    """Kills a process and its descendants."""
    _kill([root, *find_descendants(root)])


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
