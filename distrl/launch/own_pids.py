"""A PID namespace: when its first process ends, the kernel kills all that is in it.

The first process sees itself as process 1, and `/proc` shows what is inside. For all
that users read, `find_outside_pid` says what a process is called outside.
"""

import ctypes
import os

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_REC, _MS_SLAVE = 0x4000, 0x80000

_outside: int | None = None


def can_own_pids() -> bool:
    """Whether the system allows it; tried in processes of their own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            begin_own_pids()
            first = os.fork()
            if first == 0:
                enter_own_pids()
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def begin_own_pids() -> None:
    """Has the next fork of this process be the first of a namespace."""
    unshare(_CLONE_NEWPID)


def enter_own_pids() -> None:
    """Called by the first process: has `/proc` show what is inside."""
    global _outside
    # Through the outer /proc, so that what is read there has the outer numbers.
    _outside = os.open("/proc/self/fdinfo", os.O_RDONLY | os.O_DIRECTORY)
    unshare(_CLONE_NEWNS)
    # What is mounted outside from now on is seen inside, but not the other way round.
    _mount(None, b"/", None, _MS_REC | _MS_SLAVE)
    _mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def find_outside_pid(pid: int) -> int:
    """Returns what a child of this process is called outside; 0 if it is gone."""
    if _outside is None:
        return pid
    handle = os.pidfd_open(pid)
    try:
        information = os.open(str(handle), os.O_RDONLY, dir_fd=_outside)
        with open(information) as file:
            fields = dict(line.split(":") for line in file)
    finally:
        os.close(handle)
    return max(0, int(fields["Pid"]))


def unshare(flags: int) -> None:
    """Calls `unshare`.

    Raises:
      OSError: the system refuses.
    """
    _check(ctypes.CDLL(None, use_errno=True).unshare(flags))


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.mount(source, target, kind, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
