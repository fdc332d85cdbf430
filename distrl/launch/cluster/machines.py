"""A machine that runs nodes: the driver's side, and the agent that answers there.

The agent is a Ray actor, which starts the zygote and relays its messages. Its process
belongs to Ray, so it imports nothing heavy and forks nothing: the nodes descend from
the zygote.
"""

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distrl.config import LaunchConfig
from distrl.launch.cluster.ray_connection import list_machines
from distrl.launch.host_process import HostProcess
from distrl.launch.messages import Import, Lost, Message
from distrl.launch.reaping import kill_descendants
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.search_path import find_library_end

# `receive` waits on one thread of the agent while another one sends.
_AGENT_THREADS = 4
_POLL_SECONDS = 1.0


class RemoteMachine:
    """Starts an agent on a machine, and talks to it."""

    def __init__(self, launch: LaunchConfig, key: str, request: Import):
        """Starts the agent on the machine with Ray's id `key`."""
        self.ip, self.nodes = request.ip, request.nodes
        self.has_ended = False
        """Whether nothing of the run is left there; nobody listens to it any more."""
        self._key = key
        self._seen = 0
        self._silent_seconds = launch.silent_seconds
        # Time in which the driver was suspended does not count.
        self._clock = WorkingClock(_POLL_SECONDS)
        remote: Any = ray.remote(MachineAgent)
        self._agent = remote.options(
            num_cpus=0,
            max_concurrency=_AGENT_THREADS,
            # Ray retries a call whose connection failed until it knows that the
            # agent is dead.
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False),
        ).remote(request, launch.patience_seconds)
        self._ask(launch.connect_seconds)

    def send(self, message: Message) -> None:
        """Sends a message to the zygote; if it cannot arrive, the machine is lost."""
        self._agent.send.remote(message)

    def read(self) -> list[Message]:
        """Returns the messages that have arrived; `Lost` if the machine is lost."""
        try:
            messages = ray.get(self.answer, timeout=0)
        except ray.exceptions.GetTimeoutError:
            if self._clock.tick() <= self._deadline:
                return []
            return [Lost(f"did not answer for {self._limit:g} s")]
        except Exception as error:
            return [Lost(self._explain(error))]
        self._seen += len(messages)
        self._ask(self._silent_seconds)
        return messages

    def _explain(self, error: Exception) -> str:
        shown = " ".join(str(error).split())[:300]
        if isinstance(error, ray.exceptions.RuntimeEnvSetupError):
            return f"could not set launch.runtime_env up: {shown}"
        with contextlib.suppress(Exception):
            if self._key not in {machine.key for machine in list_machines()}:
                return "left the cluster"
        return f"lost its agent: {shown}"

    def kill(self) -> None:
        """Kills the agent and everything that it started on the machine."""
        self.has_ended = True
        with contextlib.suppress(Exception):
            ray.kill(self._agent)

    def _ask(self, limit: float) -> None:
        self.answer = self._agent.receive.remote(self._seen)
        self._limit = limit
        self._deadline = self._clock.tick() + limit


def receive(
    machines: Sequence[RemoteMachine], seconds: float
) -> Iterator[tuple[RemoteMachine, Message]]:
    """Waits briefly, and yields the next messages of machines that have not ended."""
    listening = [machine for machine in machines if not machine.has_ended]
    ray.wait([machine.answer for machine in listening], timeout=seconds)
    for machine in listening:
        for message in machine.read():
            yield machine, message


class MachineAgent:
    """Connects the driver to the processes of a run on one machine."""

    def __init__(self, request: Import, patience: float):
        """Starts the zygote with `request` as its first message.

        After `patience` seconds without a call of `receive`, the driver counts as dead
        and everything on this machine is killed.
        """
        self._patience = patience
        self._asked_at = time.monotonic()
        # Never trimmed: a run has only a few per node.
        self._messages: list[Message] = []
        self._receiving = threading.Lock()
        # Without the directories that Ray brings. As in the driver, the driver's own
        # precede the installed packages.
        bundled = os.path.join(os.path.dirname(ray.__file__), "")
        path = [entry for entry in sys.path if not entry.startswith(bundled)]
        end = find_library_end(path)
        path[end:end] = [entry for entry in request.sys_path if entry not in path]
        # Ray sets it for its workers; each group of nodes has its own value.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._zygote = HostProcess("distrl.launch.cluster.zygote", path)
        self._zygote.channel.send(request)
        threading.Thread(target=self._watch_driver, daemon=True).start()

    def receive(self, seen: int) -> list[Message]:
        """Waits briefly for messages from the zygote; skips the first `seen`.

        `seen` says how many the driver has, since an earlier answer may have been lost.
        The last message of all is `Lost`.
        """
        self._asked_at = time.monotonic()
        with self._receiving:
            timeout = 0.0 if len(self._messages) > seen else _POLL_SECONDS
            channel = self._zygote.channel
            while select.select([channel], [], [], timeout)[0]:
                message = channel.receive() or self._describe_end()
                self._messages.append(message)
                if isinstance(message, Lost):
                    break
                timeout = 0.0
            return self._messages[seen:]

    def send(self, message: Message) -> None:
        """Passes a message to the zygote, which ignores it if Ray repeats the call."""
        self._zygote.channel.send(message)

    def _watch_driver(self) -> None:
        """Kills everything, this process too, when the driver stops asking."""
        while time.monotonic() - self._asked_at < self._patience:
            time.sleep(_POLL_SECONDS)
        try:
            kill_descendants(os.getpid())
        finally:
            os._exit(1)

    def _describe_end(self) -> Lost:
        self._zygote.end(patiently=True)
        # A zygote that was killed leaves its nodes to us.
        kill_descendants(os.getpid())
        printed = self._zygote.describe_end()
        return Lost("lost the process that ran its nodes", printed)
