"""Child processes: how they start, die with their parent, and end."""

import contextlib
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from distrl.system import IS_LINUX
from distrl.system.search_path import order_search_path

DUMP_SIGNAL = signal.SIGUSR2
"""Has a process of a run write to its log where its threads are."""

# gRPC, and so Reverb and Courier, obeys `grpc_proxy`, `https_proxy` and `http_proxy`.
NO_PROXY = "no_grpc_proxy"
"""Lists the hosts that gRPC calls directly; where it is set, `no_proxy` is ignored."""

_THIS_MACHINE = ("localhost", "127.0.0.1")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

_is_part_of_run = False


def make_command(
    code: str, *arguments: str, path: list[str] | None = None
) -> list[str]:
    """Returns the command that runs `code` in a new interpreter.

    Unlike with `-c` and `-m`, the working directory is searched after the standard
    library. `path` is the search path; None is that of this process.
    """
    listed = ascii(order_search_path(sys.path if path is None else path))
    begin = f"import sys\nsys.path[:] = {listed}\n"
    return [sys.executable, "-c", begin + code, *arguments]


def make_child_command(
    module: str, *arguments: str, path: list[str] | None = None
) -> list[str]:
    """Returns the command of a child that runs `module.main()`.

    The child is killed when this process ends, and calls this machine without a proxy.
    The other arguments are those of `make_command`.
    """
    code = f"from distrl.system.children import run_child\nrun_child({os.getpid()})"
    return make_command(code, module, *arguments, path=path)


def run_child(parent: int) -> None:
    """Runs `main` of the module named by the first argument, then exits."""
    die_with_parent(parent)
    bypass_proxies()
    sys.exit(importlib.import_module(sys.argv.pop(1)).main())


def bypass_proxies(addresses: Iterable[str] = ()) -> None:
    """Makes gRPC call this machine, and `host:port` addresses, without a proxy.

    Keeps the user's own exceptions, and the proxies themselves for environments.
    """
    given = os.environ.get(NO_PROXY) or os.environ.get("no_proxy")
    hosts = [address.rpartition(":")[0] for address in addresses]
    os.environ[NO_PROXY] = join_hosts(given, [*_THIS_MACHINE, *hosts])


def join_hosts(given: str | None, hosts: Iterable[str]) -> str:
    """Adds hosts to a comma-separated list, each once."""
    entries = [entry.strip() for entry in (given or "").split(",")]
    return ",".join(dict.fromkeys(filter(None, [*entries, *hosts])))


def join_run() -> None:
    """Marks this process as part of a run."""
    global _is_part_of_run
    _is_part_of_run = True


def is_part_of_run() -> bool:
    """Returns whether this process, or one it was forked from, called `join_run`."""
    return _is_part_of_run


def flush_output() -> None:
    """Flushes stdout and stderr, ignoring a full disk or a closed stream."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def die_with_parent(parent: int) -> None:
    """Makes the kernel kill this process when its parent `parent` ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undoes `die_with_parent`."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans(adopt: bool = True) -> None:
    """Makes this process the parent of descendants whose own parent ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Adopts orphans until the context ends, and longer if this process did before."""
    before = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before))
    adopt_orphans()
    try:
        yield
    finally:
        adopt_orphans(bool(before.value))


def die_of(number: int) -> None:
    """Ends this process by a signal, whatever its handler; any thread may call it."""
    ctypes.CDLL(None).signal(number, None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)


def name_signal(number: int) -> str:
    """Returns the name of a signal, for example `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:  # One of the many real-time signals.
        return f"signal {number}"


def _prctl(option: int, value: Any) -> None:
    if not IS_LINUX:  # There, a process may outlive a parent that was killed.
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
