"""The processes back end: forks a node a process, watches them, ends them.

This runs in the host process, which has imported everything heavy once but has
opened no channel and started no JAX back end, so that a node can be forked from it
at any time.
"""

import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import launchpad as lp
from launchpad.context import LaunchType

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.placement import node_environment
from distrl.launch.prepare import PreparedNode, StopFlag, prepare, run_node
from distrl.launch.reaping import die_with_parent, kill_descendants
from distrl.launch.run_directory import node_file

_TRACEBACK_BYTES = 20_000
_LOG_LINES = 15
# A node that is about to be killed writes to its log where its threads are.
_DUMP_SIGNAL = signal.SIGUSR2
_DUMP_SECONDS = 0.1


@dataclass
class _Child:
    """A forked node: `code` is its wait status, once it has ended."""

    node: PreparedNode
    pid: int
    code: int | None = None


class Supervisor:
    """Runs the nodes of a program as processes, from the fork to the last exit."""

    def __init__(self, config: Config, channel: Channel):
        """Takes the run's configuration and the channel to the front process."""
        self._config = config
        self._channel = channel
        # Nodes send their stop requests and tracebacks as datagrams.
        self._inbox, self._outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports = Channel(self._inbox)
        self._children: dict[str, _Child] = {}
        self._errors: dict[str, str] = {}
        self._failed: str | None = None
        self._deadline: float | None = None
        self._wakeup, wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, program: lp.Program) -> None:
        """Runs `program` until every node has ended; tells the front how it went."""
        nodes = prepare(program, self._ask_to_stop, LaunchType.LOCAL_MULTI_PROCESSING)
        # What is shared with the nodes stays shared: the collector must not touch it.
        gc.collect()
        gc.freeze()
        for node in nodes:
            self._fork(node)
        self._channel.send(
            {
                "event": "started",
                "nodes": {
                    child.node.name: {"address": child.node.address, "pid": child.pid}
                    for child in self._children.values()
                },
            }
        )
        while self._running():
            self._wait()
        error = None
        if self._failed is not None:
            error = {"node": self._failed, "traceback": self._errors[self._failed]}
        self._channel.send({"event": "ended", "error": error})

    def _ask_to_stop(self) -> None:
        """Called in a node, by `lp.stop()`."""
        Channel(self._outbox).send({"event": "stop"})

    def _running(self) -> list[_Child]:
        return [child for child in self._children.values() if child.code is None]

    def _wait(self) -> None:
        """Handles what happens next, or a deadline."""
        timeout = None
        if self._deadline is not None:
            timeout = max(0.0, self._deadline - time.monotonic())
        sources = [self._channel, self._inbox, self._wakeup]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._channel in ready:
            message = self._channel.receive()
            if message is None:
                # The front was killed: nobody is left to end this run but us.
                kill_descendants()
                os._exit(1)
            if message["do"] == "stop":
                self._stop_nodes()
        self._read_reports()
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        self._reap()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._kill_nodes()

    def _read_reports(self) -> None:
        while select.select([self._inbox], [], [], 0)[0]:
            report = self._reports.receive()
            if report is None:
                return
            if report["event"] == "stop":
                self._stop_nodes()
            else:
                self._errors[report["node"]] = report["traceback"]

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
                    self._end(child, status)

    def _end(self, child: _Child, status: int) -> None:
        """Notes that a node ended, and ends the run if it should not have."""
        child.code = status
        # What the node started belongs to its group, and ends with it.
        self._signal(child, signal.SIGKILL)
        self._read_reports()
        name, stopping = child.node.name, self._deadline is not None
        failed = name in self._errors or (status != 0 and not stopping)
        state = "ended" if status == 0 else "killed"
        if failed:
            state = "failed"
        self._channel.send({"event": "node", "name": name, "state": state})
        if not stopping:
            # The run goes on only while every node does.
            self._failed = name
            self._errors.setdefault(name, self._describe_end(child, status))
            self._stop_nodes()
        elif failed and self._failed is None:
            self._failed = name

    def _describe_end(self, child: _Child, status: int) -> str:
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            cause = f"was killed by {signal.Signals(-code).name}"
        else:
            cause = f"ended by itself, exit code {code}, while the run went on"
        log = node_file(self._run_dir, "logs", child.node.name, ".log")
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"The process {cause}. The end of {log}:", *lines])

    @property
    def _run_dir(self) -> str:
        assert self._config.run_dir is not None
        return self._config.run_dir

    def _stop_nodes(self) -> None:
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + self._config.launch.stop_seconds
        for child in self._running():
            self._signal(child, signal.SIGTERM)

    def _kill_nodes(self) -> None:
        for child in self._running():
            self._signal(child, _DUMP_SIGNAL)
        time.sleep(_DUMP_SECONDS)
        for child in self._running():
            self._signal(child, signal.SIGKILL)

    def _signal(self, child: _Child, number: int) -> None:
        """Signals a node; SIGKILL goes to all that it started, too."""
        try:
            if number == signal.SIGKILL:
                os.killpg(child.pid, number)
            else:
                os.kill(child.pid, number)
        except ProcessLookupError:
            return

    def _fork(self, node: PreparedNode) -> None:
        log = node_file(self._run_dir, "logs", node.name, ".log")
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        # A stop that comes early waits until the node can hear it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pid = os.fork()
        if pid == 0:
            self._become(node, log, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        self._children[node.name] = _Child(node, pid)

    def _become(self, node: PreparedNode, log: Path, parent: int) -> None:
        """Turns a forked child into a node; does not return."""
        code = 1
        try:
            stop_flag = StopFlag()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stop_flag.set_by_signal(signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            os.setpgid(0, 0)
            die_with_parent(parent)
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            faulthandler.register(_DUMP_SIGNAL, all_threads=True)
            self._channel.close()
            self._inbox.close()
            environment = node_environment(node.group)
            os.environ.update(environment)
            run_node(node.function, stop_flag, environment)
            code = 0
        except BaseException:
            self._report_error(node.name, traceback.format_exc())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # The parent's exit handlers are not this process's to run.
            os._exit(code)

    def _report_error(self, name: str, text: str) -> None:
        print(text, file=sys.stderr)
        message: dict[str, Any] = {"event": "error", "node": name}
        message["traceback"] = text[-_TRACEBACK_BYTES:]
        Channel(self._outbox).send(message)
