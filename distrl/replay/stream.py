"""Reading of all that actors write, each item once, for replay on the devices."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from distrl.config.schema import Config
from distrl.replay.sampler import ReplaySampler
from distrl.types import EnvironmentSpec

# How soon a thread that holds a group notices `close`.
_POLL_SECONDS = 0.2


class ItemStream:
    """Drains the queue of each shard in a thread; the learner takes groups of items.

    The threads also convert the groups. A group that nobody has taken holds up its
    thread, and so in the end the actors.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        config: Config,
        spec: EnvironmentSpec,
        blocks: int,
        convert: Callable[[Any], Any],
    ):
        """Starts the threads, one per address.

        A group has `blocks` Reverb items of one shard; `convert` is applied to it.
        """
        self._samplers = [
            ReplaySampler(address, config, spec, blocks) for address in addresses
        ]
        self._convert = convert
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._run, args=(sampler,), name="stream", daemon=True
            )
            for sampler in self._samplers
        ]
        for thread in self._threads:
            thread.start()

    def get(self, timeout: float) -> Any:
        """Returns the next group, or None if none comes within `timeout` seconds.

        Raises the error of a thread, such as a shard that was away for too long.
        """
        if self._error is not None:
            raise RuntimeError("reading replay failed") from self._error
        for sampler in self._samplers:
            sampler.watch.look()
        try:
            return self._queue.get(timeout > 0, timeout)
        except queue.Empty:
            return None

    def close(self, timeout: float) -> None:
        """Ends the threads within `timeout` seconds, unless their server is away."""
        self._closed = True
        for thread in self._threads:
            thread.join(timeout / len(self._threads))

    def _run(self, sampler: ReplaySampler) -> None:
        try:
            while not self._closed:
                read = sampler.read()
                if read is not None:
                    self._offer(self._convert(read.items))
        except BaseException as error:
            self._error = error

    def _offer(self, group: Any) -> None:
        while not self._closed:
            try:
                self._queue.put(group, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
