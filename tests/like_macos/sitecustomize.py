"""Takes from Python on Linux what it lacks on macOS; every process loads it first.

Packages are told that this is Linux, as before, since theirs were made for it.
"""

# Some of the imports are for modules that look for calls when they are imported.
import asyncio  # noqa: F401
import ctypes
import errno
import importlib.metadata
import os
import platform
import resource
import select
import selectors  # noqa: F401
import signal
import socket
import subprocess  # noqa: F401
import sys

_MISSING = {
    os: "eventfd getresuid memfd_create pidfd_open pipe2 posix_fadvise setns splice "
    "sched_getaffinity sched_setaffinity unshare",
    resource: "prlimit",
    select: "epoll",
    signal: "SIGRTMIN pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "MSG_NOSIGNAL SOCK_CLOEXEC SOCK_NONBLOCK SO_PEERCRED",
}
if sys.version_info < (3, 13):
    _MISSING[os] += " P_ALL P_PGID P_PID WEXITED WNOWAIT waitid"
_MISSING_SYMBOLS = ("capset", "malloc_trim", "mount", "prctl", "unshare")
_MISSING_PACKAGES = {"dm-launchpad-nightly": "launchpad", "dm-reverb": "reverb"}
_MISSING_FOLDERS = ("/proc", "/sys", "/dev/shm")
_LIMITS = 9
_MOST_FILES = 10_240
_LONGEST_DATAGRAM = 2048
_LIBRARY = os.path.dirname(os.__file__)
_HARD_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _is_ours() -> bool:
    """Whether distrl makes the call, perhaps through the standard library."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        is_library = path.startswith((_LIBRARY, "<frozen", __file__))
        if not is_library or "site-packages" in path:
            return "/distrl/" in path and "site-packages" not in path
        frame = frame.f_back
    return False


for module, names in _MISSING.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
if hasattr(os, "process_cpu_count"):
    os.process_cpu_count = os.cpu_count

sys.modules.update(dict.fromkeys(_MISSING_PACKAGES.values()))


class _Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name in _MISSING_SYMBOLS:
            raise AttributeError(f"dlsym(RTLD_DEFAULT, {name}): symbol not found")
        return super().__getattr__(name)


ctypes.CDLL = _Library


def _change(module, name):
    """Replaces a function by one that gets the original as its first argument."""

    def change(function):
        original = getattr(module, name)
        setattr(
            module, name, lambda *args, **kwargs: function(original, *args, **kwargs)
        )

    return change


@_change(importlib.metadata, "version")
def _version(original, name):
    if name in _MISSING_PACKAGES:
        raise importlib.metadata.PackageNotFoundError(name)
    return original(name)


@_change(platform, "system")
def _system(original):
    return "Darwin" if _is_ours() else original()


@_change(platform, "machine")
def _machine(original):
    return "arm64" if _is_ours() else original()


@_change(resource, "getrlimit")
def _getrlimit(original, number):
    if number >= _LIMITS:
        raise ValueError("invalid resource specified")
    soft, hard = original(number)
    return soft, resource.RLIM_INFINITY if number == resource.RLIMIT_NOFILE else hard


@_change(resource, "setrlimit")
def _setrlimit(original, number, limits):
    is_files = number == resource.RLIMIT_NOFILE
    if number >= _LIMITS or (is_files and limits[0] > _MOST_FILES):
        raise ValueError("current limit exceeds maximum limit")
    original(number, (limits[0], _HARD_FILES) if is_files else limits)


@_change(socket, "socketpair")
def _socketpair(original, *args, **kwargs):
    if socket.SOCK_SEQPACKET in (*args, *kwargs.values()):
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
    return original(*args, **kwargs)


def _check_datagram(endpoint, size):
    if endpoint.type == socket.SOCK_DGRAM and size > _LONGEST_DATAGRAM:
        raise OSError(errno.EMSGSIZE, "Message too long")


@_change(socket.socket, "send")
def _send(original, self, data, *flags):
    _check_datagram(self, len(data))
    return original(self, data, *flags)


@_change(socket.socket, "sendmsg")
def _sendmsg(original, self, buffers, *rest):
    _check_datagram(self, sum(map(len, buffers)))
    return original(self, buffers, *rest)


def _refuse_folders(event, arguments):
    if event in ("open", "os.listdir", "os.scandir"):
        path = str(arguments[0])
        if path.startswith(_MISSING_FOLDERS) and _is_ours():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


sys.addaudithook(_refuse_folders)
resource.RLIM_INFINITY = 2**63 - 1
_linux, sys.platform = sys.platform, "darwin"
import distrl.system  # noqa: E402, F401

sys.platform = _linux
