"""Forks of the host that become nodes."""

import contextlib
import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import node_environment
from distrl.launch.logs import clip, redirect_output
from distrl.launch.messages import Failure
from distrl.launch.node import PreparedNode, configure_jax
from distrl.launch.reaping import find_descendants, kill_group, mark_process
from distrl.launch.run_directory import node_file
from distrl.launch.signs_of_life import Signs, send_signs, signing_period
from distrl.launch.stop_flag import StopFlag, call_when_told
from distrl.seeding import read_session
from distrl.system.children import DUMP_SIGNAL, die_with_parent, flush_output

_DUMP_SECONDS = 0.1


@dataclass
class NodeProcess:
    """The process of a node: the running one, or else the last one.

    Attributes:
      environment: variables of this node, in addition to those of its group.
      mark: of the process and its descendants (`mark_process`).
      signs: when it began, and its signs of life since.
      status: what `os.waitpid` returned; None while it runs.
      fault: how it hangs, if it does.
      cause: of its latest end, in words that follow the node's name.
      due: when to start it again, if at all.
    """

    node: PreparedNode
    environment: Mapping[str, str] = field(default_factory=dict)
    restarted_at: list[float] = field(default_factory=list)
    pid: int = 0
    parent: int = 0
    mark: int = 0
    signs: Signs = field(default_factory=lambda: Signs(0.0, 0.0))
    status: int | None = None
    fault: str | None = None
    cause: str = ""
    due: float | None = None

    def fork(self, mark: int, now: float) -> bool:
        """Forks the process of the node's next incarnation; True in that process."""
        flush_output()
        # Until the node has its own handler, it would run its parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self.parent, self.pid = os.getpid(), os.fork()
        if self.pid == 0:
            mark_process(mark)
            return True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        # Parent and child both do it, so the group exists when this returns.
        with contextlib.suppress(ProcessLookupError):
            os.setpgid(self.pid, self.pid)
        self.mark, self.signs = mark, Signs(now, now)
        self.status = self.fault = None
        return False

    def become_node(self, config: Config, outbox: Channel, stop: int) -> NoReturn:
        """Turns this forked process into the node.

        `outbox` takes its messages; the pipe `stop` is readable when it must stop.
        """
        name, code = self.node.name, 1
        try:
            stop_flag = StopFlag()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stop_flag.die_of(signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            os.setpgid(0, 0)
            die_with_parent(self.parent)
            redirect_output(node_file(config.run_dir, "logs", name, ".log"))
            faulthandler.enable()
            faulthandler.register(DUMP_SIGNAL, all_threads=True)
            call_when_told(stop, stop_flag.set)
            send_signs(name, stop_flag, outbox, signing_period(config.launch))
            own = node_environment(self.node.group, config.launch.environment)
            # The user's variables override those of the cluster.
            environment = {**self.environment, **own}
            session = replace(read_session(), restarts=len(self.restarted_at))
            os.environ.update(environment)
            os.environ.update(session.to_environment())
            configure_jax(environment)
            self.node.function(stop_flag)
            code = 0
        except BaseException:
            outbox.send(Failure(name, clip(traceback.format_exc())))
            with contextlib.suppress(OSError):  # the disk may be full
                traceback.print_exc()
        finally:
            try:
                flush_output()
            finally:
                # Skips the exit handlers, which are the parent's.
                os._exit(code)


def kill_with_dump(processes: Sequence[NodeProcess]) -> None:
    """Kills processes that hang, after they have dumped the stacks of their threads."""
    pids = [process.pid for process in processes]
    _signal(pids, DUMP_SIGNAL)
    # A node may be waiting for its environment's process, whose end it must not see.
    descendants = [each for pid in pids for each in find_descendants(pid)]
    _signal(pids, signal.SIGSTOP)
    _signal(descendants, DUMP_SIGNAL)
    for pid in pids:
        kill_group(pid)


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if pids and number == DUMP_SIGNAL:
        time.sleep(_DUMP_SECONDS)
