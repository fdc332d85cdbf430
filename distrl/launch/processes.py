"""The processes backend: forks a process for each node, watches them, ends them.

This runs in the host process, which has imported everything heavy but has opened no
gRPC channel and started no JAX backend, so nodes can be forked from it at any time.
"""

import dataclasses
import gc
import os
import select
import signal
import socket
import time

import launchpad as lp
from launchpad.context import LaunchType

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.ends import MemoryKills, describe_end, read_log_end
from distrl.launch.forking import NodeProcess, Surroundings, kill_with_dump
from distrl.launch.isolation import outside_pid
from distrl.launch.messages import (
    Assignment,
    Ended,
    Failure,
    Launch,
    NodeChanged,
    NodeStatus,
    Note,
    Restarted,
    Saving,
    Sign,
    Started,
    Stop,
    Stopping,
)
from distrl.launch.prepare import PreparedNode, prepare
from distrl.launch.reaping import group_is_left, kill_descendants, read_mark
from distrl.launch.restarts import End, decide, is_late
from distrl.launch.signs_of_life import Watch
from distrl.launch.stop_flag import StopPipe
from distrl.system.node_log import say

# How long a restart waits for the processes that the node had started to end.
_GROUP_SECONDS = 2.0
# The precision of restarts and of the limits of a stop.
_TIMING_SECONDS = 0.05


def run_processes(
    program: lp.Program, config: Config, channel: Channel, _: Launch
) -> None:
    """Runs `program` in processes until it has ended; reports to the front."""
    Supervisor(config, channel).run(program)


class Supervisor:
    """Runs the nodes of a program as processes, from the fork to the last exit."""

    def __init__(self, config: Config, channel: Channel):
        """Catches SIGCHLD, so it must be made in the main thread."""
        assert config.run_dir is not None
        self._config = config
        self._channel = channel
        # Nodes send stop requests, tracebacks and signs of life as datagrams.
        self._inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports, self._outbox = Channel(self._inbox), Channel(outbox)
        self._watch = Watch(config.launch.silent_seconds, config.launch.start_seconds)
        self._memory_kills = MemoryKills()
        self._stop = StopPipe()
        self._surroundings = Surroundings(
            config.run_dir,
            self._outbox,
            self._watch.period,
            self._stop.reader,
            self._forget,
            config.launch.environment,
        )
        self._nodes: dict[str, PreparedNode] = {}
        self._children: dict[str, NodeProcess] = {}
        self._errors: dict[str, str] = {}
        self._failed: str | None = None
        self._stopped_at: float | None = None
        self._said_saving = False
        self._last_mark = read_mark() or 0
        self._wakeup, wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, program: lp.Program, assignment: Assignment | None = None) -> None:
        """Runs `program` until every node has ended; reports to the front.

        An assignment names the nodes that run on this machine; None is all nodes.
        """
        addresses = {} if assignment is None else assignment.addresses
        nodes = prepare(
            program, self._ask_to_stop, LaunchType.LOCAL_MULTI_PROCESSING, addresses
        )
        self._nodes = {node.name: node for node in nodes}
        # Keeps pages shared with the nodes: the collector would write to them.
        gc.collect()
        gc.freeze()
        self._begin(assignment or Assignment.of_all(self._nodes))
        while self._running() or self._waiting():
            self._wait()
        error = None
        if self._failed is not None:
            error = Failure(self._failed, self._errors[self._failed])
        self._channel.send(Ended(error))

    def _begin(self, assignment: Assignment) -> None:
        begun = {}
        for name, restarts in assignment.restarts.items():
            environment = assignment.environments.get(name, {})
            node = dataclasses.replace(self._nodes[name], environment=environment)
            # Restarts on other machines count.
            earlier = [time.monotonic()] * restarts
            child = NodeProcess(node, self._surroundings, restarted_at=earlier)
            if not self._start(child):
                break
            self._children[name] = child
            pid = outside_pid(child.pid)
            begun[name] = {"address": node.address, "pid": pid}
        self._channel.send(Started(begun))

    def _start(self, child: NodeProcess) -> bool:
        """Forks a node; if that fails, stops the run and returns False."""
        self._last_mark += 1
        name = child.node.name
        try:
            child.start(self._last_mark)
        except OSError as error:
            self._failed = name
            self._errors[name] = (
                f"The system refused a process for {name}: {error.strerror}. Raise the "
                "limit of processes (`ulimit -u`, or pids.max of the container), or "
                "lower actor.count."
            )
            self._stop_nodes()
            return False
        self._watch.begin(name)
        return True

    def _ask_to_stop(self) -> None:
        """Sends a stop request; called in a node, by `lp.stop()`."""
        self._outbox.send(Stop())

    def _forget(self) -> None:
        """Closes what belongs to the supervisor; called in a new node."""
        self._channel.close()
        self._inbox.close()
        self._stop.close_writer()

    def _running(self) -> list[NodeProcess]:
        return [child for child in self._children.values() if child.status is None]

    def _waiting(self) -> list[NodeProcess]:
        return [child for child in self._children.values() if child.due is not None]

    def _wait(self) -> None:
        sources = [self._channel, self._inbox, self._wakeup]
        timing = self._stopped_at is not None or self._waiting()
        timeout = min(_TIMING_SECONDS, self._watch.period)
        timeout = timeout if timing else self._watch.period
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._channel in ready:
            message = self._channel.receive()
            if message is None:
                # The front was killed, so this process must end the run.
                kill_descendants(os.getpid())
                os._exit(1)
            if isinstance(message, Stop):
                self._stop_nodes()
        self._watch.tick()
        self._memory_kills.tick()
        self._read_reports()
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        self._reap()
        if self._stopped_at is None:
            self._end_hung()
            self._note_late()
            self._restart_due()
        else:
            self._enforce_stop()

    def _read_reports(self) -> None:
        while select.select([self._inbox], [], [], 0)[0]:
            match self._reports.receive():
                case Stop():
                    self._stop_nodes()
                case Failure(name, traceback):
                    self._errors[name] = traceback
                case Sign(name, pid, looked) if pid == self._children[name].pid:
                    # Signs of an earlier incarnation do not count.
                    self._watch.note(name, looked)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._running():
                if child.pid == pid:
                    self._note_end(child, status)

    def _note_end(self, child: NodeProcess, status: int) -> None:
        name = child.node.name
        child.status = status
        # What the node started belongs to its process group, and ends with it.
        child.kill()
        self._watch.forget(name)
        self._read_reports()
        end, child.cause = describe_end(
            status, name in self._errors, child.fault, self._memory_kills.was_recent()
        )
        if self._stopped_at is None:
            self._restart_or_fail(child, end)
            return
        failed = name in self._errors
        state: NodeStatus = "failed" if failed else "ended" if status == 0 else "killed"
        self._channel.send(NodeChanged(name, state))
        if failed and self._failed is None:
            self._failed = name

    def _restart_or_fail(self, child: NodeProcess, end: End) -> None:
        name, now = child.node.name, time.monotonic()
        decision = decide(self._config.launch, end, child.restarted_at, now)
        say(f"{name} {child.cause}")
        if decision.delay is not None:
            self._errors.pop(name, None)
            # Including processes that have left its group and lost their parent.
            kill_descendants(os.getpid(), range(child.mark, child.mark + 1))
            child.due = now + decision.delay
            self._channel.send(NodeChanged(name, "restarting"))
            return
        # Without this node the run cannot continue.
        self._failed = name
        if name not in self._errors:
            log = read_log_end(self._surroundings.run_dir, name, end)
            self._errors[name] = f"The process {child.cause}. {log}"
        if decision.reason is not None:
            self._errors[name] = f"{decision.reason}\n{self._errors[name]}"
        state: NodeStatus = "ended" if end == "ended" else "failed"
        self._channel.send(NodeChanged(name, state))
        self._stop_nodes()

    def _restart_due(self) -> None:
        now = time.monotonic()
        for child in self._waiting():
            if child.due is None or now < child.due:
                continue
            if group_is_left(child.pid) and now < child.due + _GROUP_SECONDS:
                # It was killed, but may still hold the node's port.
                continue
            child.due = None
            child.restarted_at.append(now)
            self._restart(child)

    def _restart(self, child: NodeProcess) -> None:
        if not self._start(child):
            return
        name, restarts = child.node.name, len(child.restarted_at)
        say(f"{name} was started again ({restarts})")
        pid = outside_pid(child.pid)
        self._channel.send(Restarted(name, pid, child.cause, restarts))

    def _end_hung(self) -> None:
        hung = self._watch.find_hung()
        for name, fault in hung.items():
            self._children[name].fault = fault
            self._watch.forget(name)
        kill_with_dump([self._children[name] for name in hung])

    def _note_late(self) -> None:
        late = self._watch.find_late()
        if late:
            seconds = self._config.launch.silent_seconds
            text = f"after {seconds:g} s not yet at work: {', '.join(late)}"
            say(text)
            self._channel.send(Note(text))

    def _stop_nodes(self) -> None:
        if self._stopped_at is not None:
            return
        self._stopped_at = self._watch.now
        # Other machines that run the rest of the program must stop, too.
        self._channel.send(Stopping())
        for child in self._waiting():
            child.due = None
            self._channel.send(NodeChanged(child.node.name, "killed"))
        self._stop.tell()

    def _enforce_stop(self) -> None:
        """Kills nodes that take too long; those that save have more time."""
        assert self._stopped_at is not None
        passed = self._watch.now - self._stopped_at
        late = []
        for child in self._running():
            group, silence = child.node.group, self._watch.find_silence(child.node.name)
            if is_late(self._config, group, passed, silence):
                late.append(child)
            elif passed >= self._config.launch.stop_seconds and not self._said_saving:
                self._said_saving = True
                self._channel.send(Saving())
        kill_with_dump(late)
