"""Updates of priorities in replay, without making the learner wait."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import reverb

from distrl.config.schema import Config
from distrl.replay.connection import MAX_FAILURES, ServerWatch
from distrl.replay.forms import TABLE_NAME

# The length of the queue; old updates are worth less than new ones.
_QUEUE_LENGTH = 16
_Update = tuple[np.ndarray, Any, np.ndarray]
"""Keys, the priorities of all shards, and which of these are of the keys."""


class PriorityUpdater:
    """Sends each shard the priorities of its items, in a thread per shard.

    The threads also wait for the device, so that the learner does not. While a shard is
    away, its thread waits for it and drops its oldest updates. Servers ignore the keys
    of items that they no longer hold.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        config: Config,
        convert: Callable[[Any], np.ndarray] = np.asarray,
    ):
        """Starts the threads, which connect at the first update, one for each address.

        `convert` turns the priorities of `put` into `[K * B]` numpy, in a thread.
        """
        self._shards = [_Shard(address, config, convert) for address in addresses]

    def put(self, keys: np.ndarray, shards: np.ndarray, priorities: Any) -> None:
        """Queues an update; never blocks, may drop the oldest.

        The items are `keys` `[K * B] uint64` in `shards` `[K * B] int`; of equal keys
        the last counts. `convert` turns `priorities` into `[K * B]`, not negative;
        `replay.priority_epsilon` is added, and the table applies the exponent.
        """
        for index, shard in enumerate(self._shards):
            rows = np.flatnonzero(shards == index)
            if len(rows) > 0:
                shard.put((keys[rows], priorities, rows))

    def check(self) -> None:
        """Raises the first error of a thread; call it repeatedly.

        A server may be away for `launch.connect_seconds`, and silent for
        `launch.silent_seconds` longer.
        """
        for shard in self._shards:
            shard.check()

    def close(self, timeout: float = 0.5) -> None:
        """Drops queued updates and ends the threads, each within `timeout` seconds."""
        for shard in self._shards:
            shard.closed = True
            shard.put(None)
            # One that waits for its server is left: it is a daemon.
            shard.thread.join(timeout)


class _Shard:
    """The updates of one shard, and the thread that sends them."""

    def __init__(
        self, address: str, config: Config, convert: Callable[[Any], np.ndarray]
    ):
        self._address = address
        self._convert = convert
        self._epsilon = config.replay.priority_epsilon
        self._patience = config.launch.patience_seconds
        self._watch = ServerWatch(address, config.launch.connect_seconds)
        self._queue: queue.Queue[_Update | None] = queue.Queue(_QUEUE_LENGTH)
        self._error: BaseException | None = None
        self._busy_since: float | None = None
        self.closed = False
        self.thread = threading.Thread(
            target=self._run, name="priority-updater", daemon=True
        )
        self.thread.start()

    def put(self, update: _Update | None) -> None:
        if self._queue.full():
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
        # There is room: nobody else puts anything here.
        self._queue.put(update)

    def check(self) -> None:
        if self._error is not None:
            raise RuntimeError("A priority update failed.") from self._error
        busy_since = self._busy_since
        if busy_since is None:
            return
        self._watch.look()
        if time.monotonic() - busy_since > self._patience:
            raise RuntimeError(
                f"The replay server at {self._address} has not answered a priority "
                f"update for {self._patience:g} seconds (launch.silent_seconds and "
                "launch.connect_seconds). Look at the log of the replay node."
            )

    def _run(self) -> None:
        client = reverb.Client(self._address)
        failures = 0
        try:
            while (update := self._queue.get()) is not None and not self.closed:
                priorities = self._read_values(*update)
                self._watch.begin_wait()
                self._busy_since = time.monotonic()
                try:  # Without a time limit: `check` watches it.
                    client.mutate_priorities(TABLE_NAME, priorities)
                    failures = 0
                except RuntimeError:
                    failures += 1
                    if failures > MAX_FAILURES:
                        raise
                self._busy_since = None
        except BaseException as error:
            self._error = error

    def _read_values(
        self, keys: np.ndarray, priorities: Any, rows: np.ndarray
    ) -> dict[int, float]:
        values = np.asarray(self._convert(priorities), np.float64)[rows] + self._epsilon
        if not np.isfinite(values).all():
            # Reverb would accept it, and from then on draw nothing else.
            raise ValueError(f"a new priority is {values[~np.isfinite(values)][0]}")
        return dict(zip(keys.tolist(), values.tolist(), strict=True))
