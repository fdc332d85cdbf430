"""Namespaces: a private network with only loopback, and a private set of PIDs.

Courier and Reverb listen on all interfaces and take no credentials, so a local program
is cut off from the network wherever the system allows it. When the first process of a
PID namespace ends, the kernel kills all others in it.

A process must enter before it has a second thread, that is, before it imports numpy.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_CAPABILITY_VERSION = 0x20080522

# /proc as it was outside, for `outside_pid`.
_outside: int | None = None


def enter_isolation() -> str | None:
    """Moves this process into a private network; returns why, if the system refused."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNET if uid == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    try:
        _call("unshare", flags)
        if flags & _CLONE_NEWUSER:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sh", b"lo", _IFF_UP)
            fcntl.ioctl(control, _SIOCSIFFLAGS, request)
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.ENOSPC:  # Its usual text is about disks.
            reason = (
                "the limit of user or network namespaces is reached; see sysctl "
                "user.max_user_namespaces and user.max_net_namespaces"
            )
        return f"{reason} (errno {error.errno})"
    return None


def drop_capabilities() -> None:
    """Drops the capabilities that an ordinary user has in a user namespace.

    With them, an environment could override the modes of the user's files. Root had
    them anyway and keeps them.
    """
    if os.geteuid() == 0:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Effective, permitted and inheritable sets of 64 bits each, all empty.
    _call("capset", header, (ctypes.c_uint32 * 6)())


def can_own_pids() -> bool:
    """Whether the system allows a PID namespace; tried in forks."""

    def enter() -> None:
        begin_own_pids()
        if not _works_in_fork(enter_own_pids):
            raise OSError

    return _works_in_fork(enter)


def begin_own_pids() -> None:
    """Makes the next fork of this process the first in a new PID namespace."""
    _call("unshare", _CLONE_NEWPID)


def enter_own_pids() -> None:
    """Makes `/proc` show the namespace's processes; called by the first of them."""
    global _outside
    # Opened through the outer /proc, so that it shows the outer numbers.
    _outside = os.open("/proc/self/fdinfo", os.O_RDONLY | os.O_DIRECTORY)
    _call("unshare", _CLONE_NEWNS)
    # Later mounts outside are seen inside, but not the other way round.
    _call("mount", None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _call("mount", b"proc", b"/proc", b"proc", flags, None)


def outside_pid(pid: int) -> int:
    """Returns the PID of a child as seen outside; 0 if it has ended."""
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


def _works_in_fork(function: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _call(function: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
