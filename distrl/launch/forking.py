"""Forks of the host that become nodes."""

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

from distrl.launch.channel import Channel
from distrl.launch.devices import node_environment
from distrl.launch.logs import clip, redirect_output
from distrl.launch.messages import Failure
from distrl.launch.prepare import PreparedNode, run_node
from distrl.launch.reaping import (
    catches_signal,
    find_children,
    kill_group,
    mark_process,
)
from distrl.launch.run_directory import node_file
from distrl.launch.signs_of_life import send_signs
from distrl.launch.stop_flag import StopFlag, call_when_told
from distrl.system.children import DUMP_SIGNAL, die_with_parent, flush_output
from distrl.system.session import Session, read_session

_DUMP_SECONDS = 0.1


@dataclass(frozen=True)
class Surroundings:
    """What the nodes of a run have in common.

    Attributes:
      sign_period: the seconds between two signs of life.
      stop: the pipe that becomes readable when the nodes must stop.
      forget: called in the node, to close what belongs to the supervisor.
    """

    run_dir: str
    outbox: Channel
    sign_period: float
    stop: int
    forget: Callable[[], None]
    environment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class NodeProcess:
    """The process of a node: the running one, or else the last one.

    Attributes:
      mark: of the process and its descendants (`mark_process`).
      status: what `os.waitpid` returned; None while it runs.
      fault: how it hangs, if it does.
      cause: of its latest end, in words that follow the node's name.
      due: when to start it again, if at all.
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
        """Forks the process of the node's next incarnation."""
        self.mark = mark
        session = replace(read_session(), restarts=len(self.restarted_at))
        self.pid = _fork(self.node, session, self.surroundings, mark)
        self.status = self.fault = None

    def signal(self, number: int) -> None:
        """Signals the process, if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills the process group: the process and what it started."""
        kill_group(self.pid)


def kill_with_dump(processes: Sequence[NodeProcess]) -> None:
    """Kills processes that hang, after they have dumped the stacks of their threads."""
    if not processes:
        return
    for process in processes:
        process.signal(DUMP_SIGNAL)
    time.sleep(_DUMP_SECONDS)
    # A node may be waiting for its environment's process.
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
    # Until the node has its own handler, it would run its parent's.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid == 0:
        mark_process(mark)
        _become(node, session, surroundings, parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    # Parent and child both do it, so the group exists when `start` returns.
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
        redirect_output(node_file(surroundings.run_dir, "logs", node.name, ".log"))
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
        # The user's variables override those of the cluster.
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
            # Skips the exit handlers, which are the parent's.
            os._exit(code)


def _report_error(name: str, text: str, outbox: Channel) -> None:
    outbox.send(Failure(name, clip(text)))
    with contextlib.suppress(OSError):  # the disk may be full
        print(text, file=sys.stderr, flush=True)
