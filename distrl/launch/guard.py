"""The guard: the small process between the front and the host.

When the host ends, it kills what the host left behind and exits with the same status.
When the front dies, it ends the host. While the front is stopped, as by Ctrl-Z, it
keeps the host and all nodes stopped.
"""

import contextlib
import os
import shutil
import signal
from typing import NoReturn

import psutil

from distrl.launch.channel import Channel
from distrl.launch.isolation import begin_own_pids, enter_own_pids
from distrl.launch.reaping import (
    MARKS,
    find_descendants,
    kill_descendants,
    kill_tree,
    mark_process,
)
from distrl.system.children import (
    adopt_orphans,
    die_of,
    die_with_parent,
    outlive_parent,
)

_TICK_SECONDS = 0.5


def fork_guarded(channel: Channel, own_pids: bool, scratch: str) -> None:
    """Forks the host, and returns in it; this process becomes its guard.

    With `own_pids` the host gets a PID namespace (`can_own_pids`). If the front dies,
    the guard removes the directory `scratch`.
    """
    front, guard = os.getppid(), os.getpid()
    adopt_orphans()
    mark_process(front * MARKS)
    # The front handles these, even when every process of the run gets them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    if own_pids:
        begin_own_pids()
    host = os.fork()
    if host != 0:
        channel.close()
        _guard(front, host, scratch)
    if own_pids:
        enter_own_pids()
    # The pid of a parent outside the namespace is 0.
    die_with_parent(0 if own_pids else guard)
    adopt_orphans()


def _guard(front: int, host: int, scratch: str) -> NoReturn:
    outlive_parent()
    # Without a handler, macOS drops the signal that a child has ended.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    awaited = [signal.SIGCHLD, signal.SIGALRM]
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    signal.setitimer(signal.ITIMER_REAL, _TICK_SECONDS, _TICK_SECONDS)
    paused = False
    while (status := _reap(host)) is None:
        signal.sigwait(awaited)
        if os.getppid() != front:
            # Its nodes, too: not every system lets this process adopt them.
            kill_tree(host)
        stop = _is_stopped(front)
        if stop or paused:
            _signal_all(signal.SIGSTOP if stop else signal.SIGCONT)
        paused = stop
    kill_descendants(os.getpid())
    _reap(host)
    if os.getppid() != front:
        shutil.rmtree(scratch, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        die_of(-code)
    os._exit(code)


def _reap(host: int) -> int | None:
    """Reaps children that have ended; returns the host's status if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found = status if pid == host else found
    return found


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


def _signal_all(number: int) -> None:
    for pid in find_descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
