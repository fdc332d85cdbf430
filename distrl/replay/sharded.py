"""Reading of superbatches from all shards of replay, ahead of the learner."""

import functools
import queue
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.replay.sampler import SILENCE_SECONDS, ReplaySampler, SampledSuperbatch
from distrl.types import EnvironmentSpec

# The fraction of time that may be spent waiting for slow shards.
_PATIENCE = 0.05
# How soon a thread that holds a superbatch notices `close`.
_POLL_SECONDS = 0.2
# How long a thread waits for another whose turn it is.
_TURN_SECONDS = 0.01


class ShardedSampler:
    """Reads an equal share of each superbatch from each shard, in a thread per shard.

    The thread that completes a superbatch also joins and converts it, and holds it
    until the one before has been taken.

    Waiting for a slow shard costs time only if others have more to give, so the wait is
    limited to a second at once and a twentieth of the time on average. Then the others
    fill in, as far as their rate limiters allow, and the slow shard gives what it can.
    But each shard has to give once first: learning begins when all hold their
    `min_size`.

    The probabilities are those of drawing from all of replay: a shard that gives half
    its share draws each of its items half as often as its server says.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        config: Config,
        spec: EnvironmentSpec,
        convert: Callable[[SampledSuperbatch], SampledSuperbatch],
    ):
        """Starts the threads, one per address; `convert` is applied to superbatches."""
        self._samplers = [
            ReplaySampler(address, config, spec, replay_sizes(config).share, shard)
            for shard, address in enumerate(addresses)
        ]
        self._block = config.replay.block_size
        self._convert = convert
        self._queue: queue.Queue[SampledSuperbatch] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._closed = False
        # Guards everything below.
        self._changed = threading.Condition()
        self._shares: list[tuple[int, SampledSuperbatch]] = []
        # Shards whose threads hold a share that is not wanted yet.
        self._waiting: set[int] = set()
        # The number of shares each has given: those that fill in take turns.
        self._given = [0] * len(addresses)
        self._patience = SILENCE_SECONDS
        self._is_held_up = False
        self._updated = time.monotonic()
        self._threads = [
            threading.Thread(
                target=self._run, args=(shard,), name=f"sampler-{shard}", daemon=True
            )
            for shard in range(len(addresses))
        ]
        for thread in self._threads:
            thread.start()

    def get(self, timeout: float) -> SampledSuperbatch | None:
        """Returns the next superbatch, or None if none comes within `timeout` seconds.

        Raises the error of a thread, such as a shard that was away for too long.
        """
        if self._error is not None:
            raise RuntimeError("reading replay failed") from self._error
        for sampler in self._samplers:
            sampler.watch.look()
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self, timeout: float) -> None:
        """Ends the threads within `timeout` seconds, unless their server is away."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, shard: int) -> None:
        try:
            while not self._closed:
                share = self._samplers[shard].read()
                if share is not None and self._give(shard, share):
                    self._offer(self._convert(self._join(self._shares)))
                    with self._changed:
                        self._shares = []
                        self._update_patience()
        except BaseException as error:
            self._error = error

    def _give(self, shard: int, share: SampledSuperbatch) -> bool:
        """Waits until the share is wanted; returns whether it was the last one."""
        with self._changed:
            self._waiting.add(shard)
            self._update_patience()
            while not self._is_wanted(shard):
                if self._closed:
                    return False
                limit = max(self._patience, _TURN_SECONDS)
                self._changed.wait(limit if self._is_held_up else None)
                self._update_patience(notify=False)
            self._waiting.discard(shard)
            self._shares.append((shard, share))
            self._given[shard] += 1
            self._update_patience()
            return len(self._shares) == len(self._samplers)

    def _is_wanted(self, shard: int) -> bool:
        if len(self._shares) == len(self._samplers):
            return False
        if shard not in {giver for giver, _ in self._shares}:
            return True
        if self._patience > 0 or 0 in self._given:
            return False
        return shard == min(self._waiting, key=self._given.__getitem__)

    def _update_patience(self, notify: bool = True) -> None:
        """Counts the time since the last update; call it after any change."""
        now = time.monotonic()
        earned = (now - self._updated) * (_PATIENCE - self._is_held_up)
        self._updated = now
        self._patience = min(SILENCE_SECONDS, self._patience + earned)
        is_whole = len(self._shares) == len(self._samplers)
        can_fill_in = bool(self._waiting) and 0 not in self._given
        self._is_held_up = can_fill_in and not is_whole
        if notify:
            self._changed.notify_all()

    def _offer(self, read: SampledSuperbatch) -> None:
        while not self._closed:
            try:
                self._queue.put(read, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def _join(
        self, shares: Sequence[tuple[int, SampledSuperbatch]]
    ) -> SampledSuperbatch:
        """Joins shares, one item of each in turn, so that batches mix all shards."""
        if len(shares) == 1:
            return shares[0][1]
        givers = [shard for shard, _ in shares]
        parts = [
            share._replace(
                probabilities=share.probabilities
                * np.float32(givers.count(giver) / len(givers))
            )
            for giver, share in shares
        ]
        items = functools.partial(_interleave, 1)
        transitions = functools.partial(_interleave, self._block)
        return SampledSuperbatch(
            keys=items(*(part.keys for part in parts)),
            probabilities=transitions(*(part.probabilities for part in parts)),
            items=tree.map_structure(transitions, *(part.items for part in parts)),
            shards=items(*(part.shards for part in parts)),
        )


def _interleave(block: int, *arrays: np.ndarray) -> np.ndarray:
    """Joins arrays `[block * n, ...]` to `[block * n * len(arrays), ...]`.

    Takes one row of each array in turn, within each of the `block` runs of n.
    """
    rest = arrays[0].shape[1:]
    runs = [array.reshape(block, -1, *rest) for array in arrays]
    return np.stack(runs, axis=2).reshape(-1, *rest)
