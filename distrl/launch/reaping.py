"""Functions that find and kill processes: a session, a group, a tree."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Container
from pathlib import Path

import psutil

MARKS = 2**20
"""A run whose front has the pid P marks its processes with P * MARKS and more."""

_RLIMIT_LOCKS = 10
_KILL_SECONDS = 5.0
_SLICE_SECONDS = 0.01


def kill_session(session: int) -> None:
    """Kills every process of a session except this one, until none is left."""
    for _ in range(20):
        members = [pid for pid in psutil.pids() if _session_of(pid) == session]
        members = [pid for pid in members if pid != os.getpid()]
        if not members:
            break
        for pid in members:
            _kill(pid)
        # The leader's exit code is for the process that started it.
        _reap([pid for pid in members if pid != session])
    # Adopted processes that had already ended wait for this process to reap them.
    children = [child.pid for child in psutil.Process().children()]
    adopted = [pid for pid in children if pid != session and _sid(pid) == session]
    _reap(adopted)


def kill_group(group: int) -> None:
    """Kills every process of a group, if it has any."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def group_is_left(group: int) -> bool:
    """Whether a group has any process, even one that waits to be reaped."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def find_children(pid: int) -> list[int]:
    """Returns the children of a process; none if it has ended."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def catches_signal(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal; False if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (caught,) = (s for s in status.splitlines() if s.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def mark_process(mark: int) -> None:
    """Marks this process and everything that it starts from now on.

    The mark is a resource limit that Linux has ignored since 2.4. It is inherited
    through forks, sessions, other programs and changes of parents, so it tells who
    started a process whose parent has ended.
    """
    hard = resource.getrlimit(_RLIMIT_LOCKS)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_LOCKS, (mark, hard))


def read_mark(pid: int = 0) -> int | None:
    """Returns the mark of a process (0 is this one); None if it has ended."""
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0]
    except OSError:
        return None


def find_descendants(
    root: int, marks: range | None = None, spared: Container[int] = ()
) -> list[int]:
    """Returns the running descendants of `root`.

    `marks` keeps only processes with these marks; `spared` are pids to leave out.
    """
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                ended = process.status() == psutil.STATUS_ZOMBIE
                counts = marks is None or read_mark(process.pid) in marks
                if counts and not ended and process.pid not in spared:
                    found.append(process.pid)
    return found


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
        for pid in found:
            _kill(pid)
        if time.monotonic() > give_up:
            return
        killed.update(found)
        time.sleep(_SLICE_SECONDS)
    # Some are children of this process.
    _reap(sorted(killed))


def kill_tree(root: int) -> None:
    """Kills a child of this process and all its descendants."""
    for pid in [root, *find_descendants(root)]:
        _kill(pid)


def _session_of(pid: int) -> int | None:
    """Returns the session of a process; None for zombies."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return _sid(pid)


def _sid(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
