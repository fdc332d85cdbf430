"""Child processes on Linux: that they die with their parent, and how they ended."""

import ctypes
import os
import signal

DUMP_SIGNAL = signal.SIGUSR2
"""Has a process of a run write to its log where its threads are."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process as soon as its parent `parent` ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undoes `die_with_parent`: this process sees to its own end."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans(adopt: bool = True) -> None:
    """Makes this process the parent of descendants whose parent ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def name_signal(number: int) -> str:
    """Returns the name of a signal: `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:  # One of the many real-time signals.
        return f"signal {number}"


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
