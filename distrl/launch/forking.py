"""From a prepared node to a process of its own, by a fork of the host."""

import contextlib
import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from distrl.children import DUMP_SIGNAL, die_with_parent, flush_output
from distrl.launch.channel import Channel
from distrl.launch.devices import node_environment
from distrl.launch.messages import Failure
from distrl.launch.prepare import PreparedNode, run_node
from distrl.launch.quoting import clip
from distrl.launch.reaping import (
    catches_signal,
    find_children,
    kill_group,
    mark_process,
)
from distrl.launch.run_directory import node_file
from distrl.launch.signs_of_life import send_signs
from distrl.launch.stop_flag import StopFlag, call_when_told
from distrl.session import Session, read_session

_DUMP_SECONDS = 0.1


@dataclass(frozen=True)
class Surroundings:
    """What every node of a run is forked into.

    Attributes:
      run_dir: of the run.
      outbox: where a node sends its signs of life and its traceback.
      sign_period: the seconds between two signs of life.
      stop: the pipe that becomes readable when the nodes are to stop.
      forget: called in the node, to close what is the supervisor's own.
      environment: `launch.environment`.
    """

    run_dir: str
    outbox: Channel
    sign_period: float
    stop: int
    forget: Callable[[], None]
    environment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class NodeProcess:
    """The process of a node: the one that runs, or the last one that did.

    Attributes:
      node: what runs in it.
      surroundings: what it is forked into.
      pid: of the process.
      mark: of it and of what it started (`mark_process`).
      status: what `os.waitpid` said of it; None while it runs.
      fault: how it hangs, once it was found to.
      cause: of its latest end, in words that follow the node's name.
      due: when it is to be started again; None when it is not to be.
      restarted_at: when it was.
    """

    node: PreparedNode
    surroundings: Surroundings
    pid: int = 0
    mark: int = 0
    status: int | None = None
    fault: str | None = None
    cause: str = ""
    due: float | None = None
    restarted_at: list[float] = field(default_factory=list)

    def start(self, mark: int) -> None:
        """Forks the process: the first, or the next once the last was reaped."""
        self.mark = mark
        session = replace(read_session(), restarts=len(self.restarted_at))
        self.pid = _fork(self.node, session, self.surroundings, mark)
        self.status = self.fault = None

    def signal(self, number: int) -> None:
        """Signals the process, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills the process and what it started."""
        kill_group(self.pid)


def kill_with_dump(processes: Sequence[NodeProcess]) -> None:
    """Kills processes that do not answer; their logs get to say where they are."""
    if not processes:
        return
    for process in processes:
        process.signal(DUMP_SIGNAL)
    time.sleep(_DUMP_SECONDS)
    # What one waits for may be an environment in a process of its own.
    started = [pid for process in processes for pid in find_children(process.pid)]
    dumping = [pid for pid in started if catches_signal(pid, DUMP_SIGNAL)]
    for pid in dumping:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, DUMP_SIGNAL)
    if dumping:
        time.sleep(_DUMP_SECONDS)
    for process in processes:
        process.kill()


def _fork(
    node: PreparedNode, session: Session, surroundings: Surroundings, mark: int
) -> int:
    parent = os.getpid()
    flush_output()
    # Until the node has a handler of its own, it would run its parent's.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid == 0:
        mark_process(mark)
        _become(node, session, surroundings, parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    # Whoever of the two is first: the group is there when `start` returns.
    with contextlib.suppress(ProcessLookupError):
        os.setpgid(pid, pid)
    return pid


def _become(
    node: PreparedNode, session: Session, surroundings: Surroundings, parent: int
) -> None:
    """Turns a forked child into a node; does not return."""
    code = 1
    try:
        stop_flag = StopFlag()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop_flag.die_of(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.setpgid(0, 0)
        die_with_parent(parent)
        log = node_file(surroundings.run_dir, "logs", node.name, ".log")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        faulthandler.enable()
        faulthandler.register(DUMP_SIGNAL, all_threads=True)
        surroundings.forget()
        call_when_told(surroundings.stop, stop_flag.set)
        send_signs(
            node.name,
            stop_flag.stop_event(),
            surroundings.outbox,
            surroundings.sign_period,
        )
        own = node_environment(node.group, surroundings.environment)
        # What the user chose comes before what a cluster gave.
        environment = {**node.environment, **own}
        os.environ.update(environment)
        os.environ.update(session.to_environment())
        run_node(node.function, stop_flag, environment)
        code = 0
    except BaseException:
        _report_error(node.name, traceback.format_exc(), surroundings.outbox)
    finally:
        try:
            flush_output()
        finally:
            # The parent's exit handlers are not this process's to run.
            os._exit(code)


def _report_error(name: str, text: str, outbox: Channel) -> None:
    # First what nobody else has to take.
    print(text, file=sys.stderr, flush=True)
    outbox.send(Failure(name, clip(text)))
