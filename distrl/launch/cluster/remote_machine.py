"""A machine that runs nodes, as the driver sees it."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from distrl.config import Config
from distrl.launch.cluster.machine_agent import MachineAgent
from distrl.launch.cluster.ray_connection import list_machines
from distrl.launch.messages import Closed, Import, Lost, Message

# `receive` waits on one thread of the agent while the others answer.
_AGENT_THREADS = 4
_REASON_LETTERS = 300


class RemoteMachine:
    """Starts an agent on a machine, and listens to it in a thread."""

    def __init__(
        self,
        config: Config,
        key: str,
        names: Sequence[str],
        request: Import,
        token: str | None,
        tell: Callable[["RemoteMachine", Message], object],
    ):
        """Starts the agent.

        Args:
          config: of the run.
          key: Ray's id of the machine.
          names: the nodes that run there.
          request: what the zygote imports.
          token: a file that the machine sees if it shares the run's disk; None: no
            check.
          tell: called in the thread with each message: first `Described`, last `Lost`.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.key = key
        self.names = names
        self.ip = ""
        """Its address, once it has described itself."""
        self.place: dict[str, Any] = {}
        """What program.json says about it, once it has described itself."""
        self.has_ended = False
        """Whether nothing of the run is left there; nobody listens to it any more."""
        self._launch = config.launch
        self._token = token
        self._tell = tell
        self._numbers = itertools.count()
        remote: Any = ray.remote(MachineAgent)
        agent = remote.options(
            num_cpus=0,
            max_concurrency=_AGENT_THREADS,
            # Ray retries a call whose connection failed until it knows that the
            # agent is dead.
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False),
        )
        self._agent = agent.remote(request, config.launch.patience_seconds)
        threading.Thread(target=self._listen, daemon=True).start()

    def __str__(self) -> str:
        """Returns the machine's name for messages."""
        return f"machine {self.ip or self.key}"

    def send(self, message: Message) -> None:
        """Sends a message to the zygote; if it cannot arrive, `Lost` follows."""
        self._agent.send.remote(next(self._numbers), message)

    def kill(self) -> None:
        """Kills the agent and everything that it started on the machine."""
        import ray

        self.has_ended = True
        with contextlib.suppress(Exception):
            ray.kill(self._agent)

    def _listen(self) -> None:
        import ray

        limit = self._launch.connect_seconds
        try:
            asked = self._agent.describe.remote(self._token)
            self._tell(self, ray.get(asked, timeout=limit))
            limit = self._launch.silent_seconds
            seen = 0
            while True:
                asked = self._agent.receive.remote(seen)
                for message in ray.get(asked, timeout=limit):
                    seen += 1
                    if isinstance(message, Closed):
                        reason = "lost the process that ran its nodes"
                        self._tell(self, Lost(reason, message.printed))
                        return
                    self._tell(self, message)
        except Exception as error:
            self._tell(self, Lost(explain_silence(self.key, error, limit)))


def explain_silence(key: str, error: Exception, limit: float) -> str:
    """Returns why an agent did not answer, in words that follow the machine's name."""
    import ray

    if isinstance(error, ray.exceptions.GetTimeoutError):
        return f"did not answer for {limit:g} s"
    if isinstance(error, ray.exceptions.RuntimeEnvSetupError):
        return f"could not set launch.runtime_env up: {_shorten(error)}"
    with contextlib.suppress(Exception):
        if key not in {machine.key for machine in list_machines()}:
            return "left the cluster"
    return f"lost its agent: {_shorten(error)}"


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:_REASON_LETTERS]
