"""The processes backend: forks a process for each node, watches them, ends them.

This runs in the host process, which has imported everything heavy but has opened no
gRPC channel and started no JAX backend, so nodes can be forked from it at any time.
"""

import contextlib
import gc
import itertools
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import describe_node
from distrl.launch.forking import NodeProcess, kill_with_dump
from distrl.launch.isolation import outside_pid
from distrl.launch.messages import (
    Ended,
    Failure,
    Launch,
    NodeChanged,
    NodeStatus,
    Note,
    Saving,
    Sign,
    Started,
    StartNodes,
    Stop,
)
from distrl.launch.node import PreparedNode
from distrl.launch.reaping import kill_descendants, kill_group, read_mark
from distrl.launch.restarts import End, decide, describe_end, is_late, read_log_end
from distrl.launch.signs_of_life import WorkingClock, signing_period
from distrl.system.machine import MemoryKills
from distrl.system.output import say

# The precision of restarts and of the limits of a stop.
_TIMING_SECONDS = 0.05

if TYPE_CHECKING:
    import launchpad as lp


def run_processes(
    program: "lp.Program", config: Config, channel: Channel, _: Launch
) -> None:
    """Runs `program` in processes until it has ended; reports to the front."""
    from distrl.launch.prepare import prepare

    supervisor = Supervisor(config, channel)
    supervisor.run(prepare(program, supervisor.request_stop))


class Supervisor:
    """Runs the nodes of a program as processes, from the fork to the last exit."""

    def __init__(self, config: Config, channel: Channel):
        """Catches SIGCHLD, so it must be made in the main thread."""
        self._config = config
        self._channel = channel
        # Nodes send stop requests, tracebacks and signs of life as datagrams.
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inbox, self._outbox = map(Channel, ends)
        self._period = signing_period(config.launch)
        # So nodes do not look silent when this process was stopped.
        self._clock = WorkingClock(2 * self._period)
        self._memory_kills = MemoryKills()
        self._stop_reader, self._stop_writer = os.pipe()
        self._children: dict[str, NodeProcess] = {}
        self._errors: dict[str, str] = {}
        self._failure: Failure | None = None
        self._stopped_at: float | None = None
        self._said_saving = False
        self._said_late: set[str] = set()
        self._marks = itertools.count(read_mark() + 1)
        self._wakeup, wakeup_writer = os.pipe()
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def request_stop(self) -> None:
        """Asks for the end of the run; called in a node."""
        self._outbox.send(Stop())

    def run(
        self, nodes: Sequence[PreparedNode], order: StartNodes | None = None
    ) -> None:
        """Runs nodes until each of them has ended; reports to the front.

        `order` names the nodes that run on this machine; None is all nodes.
        """
        order = order or StartNodes({node.name: 0 for node in nodes})
        # Keeps pages shared with the nodes: the collector would write to them.
        gc.collect()
        gc.freeze()
        begun = {}
        for node in nodes:
            if node.name not in order.restarts:
                continue
            # Restarts on other machines count.
            restarted_at = [time.monotonic()] * order.restarts[node.name]
            own = order.environments.get(node.name, {})
            child = NodeProcess(node, own, restarted_at)
            if not self._start(child):
                break
            self._children[node.name] = child
            begun[node.name] = describe_node(
                node.group,
                self._config.launch,
                node.address,
                outside_pid(child.pid),
                own,
            )
        self._channel.send(Started(begun))
        while self._running() or self._waiting():
            self._wait()
        self._channel.send(Ended(self._failure))

    def _start(self, child: NodeProcess) -> bool:
        """Forks a node; if that fails, stops the run and returns False."""
        try:
            is_node = child.fork(next(self._marks), self._clock.now)
        except OSError as error:
            name = child.node.name
            self._fail(
                name,
                f"The system refused a process for {name}: {error.strerror}. Raise the "
                "limit of processes (`ulimit -u`, or pids.max of the container), or "
                "lower actor.count.",
            )
            return False
        if is_node:
            # What a node's own children keep open would hide the end of this process.
            self._channel.close()
            self._inbox.close()
            os.close(self._stop_writer)
            child.become_node(self._config, self._outbox, self._stop_reader)
        return True

    def _fail(self, name: str, error: str) -> None:
        """Stops a run that cannot continue without a node."""
        self._failure = Failure(name, error)
        self._stop_nodes()

    def _running(self) -> list[NodeProcess]:
        return [child for child in self._children.values() if child.status is None]

    def _waiting(self) -> list[NodeProcess]:
        return [child for child in self._children.values() if child.due is not None]

    def _wait(self) -> None:
        timeout = self._period
        if self._stopped_at is not None or self._waiting():
            timeout = min(_TIMING_SECONDS, timeout)
        sources = [self._channel, self._inbox, self._wakeup]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._channel in ready:
            message = self._channel.receive()
            if message is None:
                # The front was killed, so this process must end the run.
                kill_descendants(os.getpid())
                os._exit(1)
            if isinstance(message, Stop):
                self._stop_nodes()
        self._clock.tick()
        self._memory_kills.tick()
        self._read_reports()
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        self._reap()
        if self._stopped_at is None:
            self._check_signs()
            self._restart_due()
        else:
            self._enforce_stop(self._clock.now - self._stopped_at)

    def _read_reports(self) -> None:
        while select.select([self._inbox], [], [], 0)[0]:
            match self._inbox.receive():
                case Stop():
                    self._stop_nodes()
                case Failure(name, traceback):
                    self._errors[name] = traceback
                case Sign(name, pid, looked) if pid == self._children[name].pid:
                    # Signs of an earlier incarnation do not count.
                    signs = self._children[name].signs
                    signs.signed = self._clock.now
                    signs.looked = self._clock.now if looked else signs.looked

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                for child in self._running():
                    if child.pid == ended[0]:
                        self._note_end(child, ended[1])

    def _note_end(self, child: NodeProcess, status: int) -> None:
        name = child.node.name
        child.status = status
        # What the node started belongs to its process group, and ends with it.
        kill_group(child.pid)
        self._read_reports()
        end, child.cause = describe_end(
            status, name in self._errors, child.fault, self._memory_kills.tick()
        )
        if self._stopped_at is None:
            self._restart_or_fail(child, end)
            return
        state: NodeStatus = "ended" if status == 0 else "killed"
        if name in self._errors:
            state = "failed"
            self._failure = self._failure or Failure(name, self._errors[name])
        self._channel.send(NodeChanged(name, state))

    def _restart_or_fail(self, child: NodeProcess, end: End) -> None:
        name, now = child.node.name, time.monotonic()
        decision = decide(self._config.launch, end, child.restarted_at, now)
        say(f"{name} {child.cause}")
        if isinstance(decision, float):
            self._errors.pop(name, None)
            # What it started may have left its group, and may hold its port.
            kill_descendants(os.getpid(), range(child.mark, child.mark + 1))
            child.due = now + decision
            self._channel.send(NodeChanged(name, "restarting"))
            return
        error = self._errors.get(name)
        if error is None:
            log = read_log_end(self._config.run_dir, name, end)
            error = f"The process {child.cause}. {log}"
        self._channel.send(NodeChanged(name, "ended" if end == "ended" else "failed"))
        self._fail(name, f"{decision}\n{error}".lstrip())

    def _restart_due(self) -> None:
        now = time.monotonic()
        for child in self._waiting():
            if child.due is None or now < child.due:
                continue
            child.due = None
            child.restarted_at.append(now)
            if self._start(child):
                name, restarts = child.node.name, len(child.restarted_at)
                say(f"{name} was restarted ({restarts})")
                facts = {"pid": outside_pid(child.pid), "restarts": restarts}
                self._channel.send(NodeChanged(name, "running", facts, child.cause))
                note = f"{name} {child.cause}; restarted ({restarts})"
                self._channel.send(Note(note))

    def _check_signs(self) -> None:
        """Kills nodes that hang, and names those that take long to begin to work."""
        launch, now = self._config.launch, self._clock.now
        working = [child for child in self._running() if child.fault is None]
        for child in working:
            child.fault = child.signs.describe_hang(now, launch)
        kill_with_dump([child for child in working if child.fault is not None])
        late = {
            child.node.name
            for child in working
            if child.signs.looked is None
            and now - child.signs.began > launch.silent_seconds
        }
        if new := sorted(late - self._said_late):
            text = f"not at work after {launch.silent_seconds:g} s: {', '.join(new)}"
            say(text)
            self._channel.send(Note(text))
        self._said_late = late

    def _stop_nodes(self) -> None:
        if self._stopped_at is not None:
            return
        self._stopped_at = self._clock.now
        # Other machines that run the rest of the program must stop, too.
        self._channel.send(Stop())
        for child in self._waiting():
            child.due = None
            self._channel.send(NodeChanged(child.node.name, "killed"))
        os.write(self._stop_writer, b"!")

    def _enforce_stop(self, passed: float) -> None:
        """Kills nodes that take too long; those that save have more time."""
        late = []
        for child in self._running():
            looked = child.signs.looked
            silence = None if looked is None else self._clock.now - looked
            if is_late(self._config, child.node.group, passed, silence):
                late.append(child)
            elif passed >= self._config.launch.stop_seconds and not self._said_saving:
                self._said_saving = True
                self._channel.send(Saving())
        kill_with_dump(late)
