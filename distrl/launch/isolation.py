"""A private network: a namespace whose only interface is loopback.

Courier and Reverb listen on all interfaces and take no credentials, so a local
program is cut off from the network wherever the system allows it. A process must
enter before it has a second thread, that is before it imports numpy.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct

from distrl.launch.own_pids import unshare

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_CAPABILITY_VERSION = 0x20080522

# What `unshare` means by an error whose usual words are of disks, or of no help.
_LIMITS = {
    errno.ENOSPC: "the limit of user or network namespaces is reached; see sysctl "
    "user.max_user_namespaces and user.max_net_namespaces",
    errno.EUSERS: "user namespaces are nested too deeply",
}


def enter_isolation() -> str | None:
    """Moves this process into a private network with loopback up.

    Returns:
      None when it is inside, else the reason why the system refused.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNET if uid == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    try:
        unshare(flags)
        if flags & _CLONE_NEWUSER:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
        _raise_loopback()
    except OSError as error:
        reason = _LIMITS.get(error.errno, error.strerror)
        return f"{reason} (errno {error.errno})"
    return None


def drop_capabilities() -> None:
    """Gives up what an ordinary user may do in a user namespace of its own.

    An environment could overrule the modes of the user's files with it. Root had all of
    it before, and keeps it.
    """
    if os.geteuid() == 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # No set has any: effective, permitted and inheritable, 64 bits each.
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def probe_isolation() -> str | None:
    """Tries `enter_isolation` in a child; None when it works, else the reason."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, (enter_isolation() or "").encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        reason = answer.read()
    os.waitpid(child, 0)
    return reason or None


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", 0)
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh", answer[:18])[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))
