"""Sends priorities back to the shards of replay that the items came from."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrl.config.schema import Config
from distrl.replay.priorities import PriorityUpdater


class PriorityRouter:
    """Sends each shard the priorities of its items, in a thread a shard.

    So a shard that is away, or was restarted, holds up and loses its own alone.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        config: Config,
        convert: Callable[[Any], np.ndarray] = np.asarray,
    ):
        """Starts the threads; they connect at the first update.

        Args:
          addresses: `host:port` of each shard of replay, in their order.
          config: its `launch` group says how long a server may be away or silent.
          convert: turns what `put` gets into `[K * B]` numpy, in a thread.
        """
        self._updaters = [
            PriorityUpdater(address, config, convert) for address in addresses
        ]

    @property
    def dropped(self) -> int:
        """The updates that were dropped, of all shards."""
        return sum(updater.dropped for updater in self._updaters)

    def put(self, keys: np.ndarray, shards: np.ndarray, priorities: Any) -> None:
        """Leaves an update for the threads; never blocks, may drop the oldest.

        Args:
          keys: `[K * B] uint64`, of the items; of equal ones the last counts.
          shards: `[K * B] int`, that the items came from.
          priorities: what `convert` turns into `[K * B]`, as of `PriorityUpdater`.
        """
        if len(self._updaters) == 1:
            self._updaters[0].put(keys, priorities)
            return
        for shard, updater in enumerate(self._updaters):
            rows = np.flatnonzero(shards == shard)
            if len(rows) > 0:
                updater.put(keys[rows], priorities, rows)

    def check(self) -> None:
        """Raises what went wrong in a thread; returns at once.

        Raises:
          RuntimeError: as `PriorityUpdater.check` says, of any shard.
        """
        for updater in self._updaters:
            updater.check()

    def close(self, timeout: float = 0.5) -> None:
        """Drops what waits and ends the threads, each within `timeout` seconds."""
        for updater in self._updaters:
            updater.close(timeout)
