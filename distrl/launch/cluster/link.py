"""The launcher's end of a machine: starts the agent there, and listens to it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from distrl.config import Config
from distrl.launch.cluster.collecting import add_pieces
from distrl.launch.cluster.connection import list_machines
from distrl.launch.cluster.machine_agent import MachineAgent
from distrl.launch.messages import Closed, Import, Lost, Message, Uncollected

# `receive` waits on one thread of the agent while the others answer.
_AGENT_THREADS = 4
_REASON_LETTERS = 300
_COLLECT_SECONDS = 1.0


class Link:
    """A machine's agent, with a thread that asks it for messages again and again."""

    def __init__(
        self,
        config: Config,
        key: str,
        request: Import,
        token: str,
        tell: Callable[["Link", Message], object],
    ):
        """Starts an agent.

        Args:
          config: of the run.
          key: of the machine.
          request: what its zygote is to import.
          token: a file that the machine has to see.
          tell: called in the thread with each message. The first is `Described`; the
            last is `Closed`, from the agent, or `Lost`, when it does not answer.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.key = key
        self._launch = config.launch
        self._tell = tell
        remote: Any = ray.remote(MachineAgent)
        agent = remote.options(
            num_cpus=0,
            max_concurrency=_AGENT_THREADS,
            # Over a connection that fails a call is made again, until Ray knows
            # that the agent is dead.
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False),
        )
        self._agent = agent.remote(request, config.launch.patience_seconds)
        self._run_dir = Path(config.run_dir or "")
        self._collector: threading.Thread | None = None
        self._is_over = threading.Event()
        threading.Thread(target=self._listen, args=(token,), daemon=True).start()

    def send(self, message: Message) -> None:
        """Sends a message to the zygote; one that is lost shows in `tell`."""
        self._agent.send.remote(message)

    def collect(self) -> None:
        """Begins to bring what the machine's nodes write to the run directory."""
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def begin_end(self) -> None:
        """Has the agent end, and with it all that runs on its machine.

        Where something is collected, it ends when that is complete.
        """
        self._is_over.set()
        if self._collector is None:
            self._kill()

    def end(self, began: float) -> None:
        """Waits until the agent has ended, but for what is left of its time.

        Args:
          began: when it was told to, in seconds of the monotonic clock.
        """
        if self._collector is not None:
            # For what is left to collect, and then for the agent.
            limit = began + 2 * self._launch.stop_seconds
            self._collector.join(max(0.0, limit - time.monotonic()))
            self._kill()

    def _kill(self) -> None:
        import ray

        with contextlib.suppress(Exception):
            ray.kill(self._agent)

    def _collect(self) -> None:
        import ray

        try:
            self._bring_files()
        except ray.exceptions.RayError:
            pass  # `_listen` says that the machine is lost.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._tell(self, Uncollected(reason))
        self._is_over.wait()
        with contextlib.suppress(Exception):
            # It has a directory to remove.
            ray.get(self._agent.end.remote(), timeout=self._launch.stop_seconds)

    def _bring_files(self) -> None:
        import ray

        known: dict[str, int] = {}
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(_COLLECT_SECONDS)
            asked = self._agent.collect.remote(known, self._launch.log_mib)
            pieces = ray.get(asked, timeout=self._launch.silent_seconds)
            add_pieces(self._run_dir, pieces, known)
            # A file may be longer than a piece.
            is_last = is_last and not pieces

    def _listen(self, token: str) -> None:
        import ray

        limit = self._launch.connect_seconds
        try:
            described = self._agent.describe.remote(token)
            self._tell(self, ray.get(described, timeout=limit))
            limit = self._launch.silent_seconds
            seen = 0
            while True:
                asked = self._agent.receive.remote(seen)
                for message in ray.get(asked, timeout=limit):
                    seen += 1
                    self._tell(self, message)
                    if isinstance(message, Closed):
                        return
        except Exception as error:
            reason = explain_silence(self.key, error, limit)
            self._tell(self, Lost(reason))


def end_links(links: Iterable[Link]) -> None:
    """Ends machines side by side: they take as long as the slowest of them."""
    links, began = list(links), time.monotonic()
    for link in links:
        link.begin_end()
    for link in links:
        link.end(began)


def explain_silence(key: str, error: Exception, limit: float) -> str:
    """Returns why an agent did not answer, in words that follow the machine's name.

    Args:
      key: of the machine.
      error: what asking it raised.
      limit: the seconds that it had.
    """
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
