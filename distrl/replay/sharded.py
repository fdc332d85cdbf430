"""Reads superbatches from all shards of replay."""

import functools
import threading
import time
from collections.abc import Sequence

import numpy as np
import tree

from distrl.config.schema import Config
from distrl.replay.reading import Sampler, SamplerThread
from distrl.replay.sampler import SILENCE_SECONDS, ReplaySampler, SampledSuperbatch
from distrl.types import EnvironmentSpec

# The longest wait between two looks whether a server has ended.
_SLICE_SECONDS = 0.1
# The part of the time that may be lost to slow shards.
_PATIENCE = 0.05


def make_sampler(
    addresses: Sequence[str], config: Config, spec: EnvironmentSpec
) -> Sampler:
    """Returns what reads superbatches from the servers at `addresses`.

    Args:
      addresses: `host:port` of each shard of replay, in their order.
      config: the run's configuration.
      spec: the environment's observations and actions.

    Raises:
      ValueError: there are not as many as `replay.shards`.
    """
    if len(addresses) != config.replay.shards:
        raise ValueError(
            f"replay.shards = {config.replay.shards}: the program has "
            f"{len(addresses)} replay nodes; make as many as that"
        )
    samplers = [
        ReplaySampler(address, config, spec, shard)
        for shard, address in enumerate(addresses)
    ]
    if len(samplers) == 1:
        return samplers[0]
    return ShardedSampler(samplers, config.replay.block_size)


class ShardedSampler:
    """Reads an equal share of each superbatch from each shard, in a thread a shard.

    A shard is waited for while the others have no more to give either. If they do, the
    wait costs them, so it is limited to a second at once and a twentieth of the time
    on average. Then the others fill in, as far as their own rate limiters allow, and a
    slow shard gives what it can. But none is left out before it has given once:
    learning begins when all hold their `min_size`.

    The probabilities are those of the draw from the whole: a shard that gives half of
    a superbatch draws each of its items half as often as its server says.
    """

    def __init__(self, samplers: Sequence[ReplaySampler], transitions_per_item: int):
        """Starts a thread for each shard.

        Args:
          samplers: one for each shard, in their order.
          transitions_per_item: of each item of replay.
        """
        self._block = transitions_per_item
        self._arrived = threading.Event()
        self._threads = [
            SamplerThread(sampler, _take_as_it_is, self._arrived)
            for sampler in samplers
        ]
        # How many shares each has given, so that those who fill in take turns.
        self._given = [0] * len(samplers)
        self._shares: list[tuple[int, SampledSuperbatch]] = []
        self._patience = SILENCE_SECONDS
        self._looked = time.monotonic()

    def read(self) -> SampledSuperbatch | None:
        """Returns the next superbatch, or None when it was not there in a second.

        Raises:
          RuntimeError: reading a shard has failed.
        """
        self._pass_time(held_up=False)
        end = self._looked + SILENCE_SECONDS
        while True:
            self._arrived.clear()
            self._collect()
            if len(self._shares) == len(self._threads):
                shares, self._shares = self._shares, []
                return self._join(shares)
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._wait(min(left, _SLICE_SECONDS))

    def recover(self) -> None:
        """Returns None: `read` always gets on; the threads recover by themselves."""

    def close(self) -> None:
        """Ends the threads; samples on their way are lost."""
        for thread in self._threads:
            thread.end()

    def _collect(self) -> None:
        """Takes the shares that are there and wanted."""
        shards = range(len(self._threads))
        missing = set(shards) - {shard for shard, _ in self._shares}
        missing -= {shard for shard in missing if self._take(shard)}
        if self._patience > 0 or any(self._given[shard] == 0 for shard in missing):
            return
        takes = True
        while takes and len(self._shares) < len(shards):
            by_turns = sorted(shards, key=self._given.__getitem__)
            takes = any(self._take(shard) for shard in by_turns)

    def _wait(self, seconds: float) -> None:
        """Waits for a share, and counts how long that keeps others from giving."""
        can_fill_in = any(thread.has_next for thread in self._threads)
        held_up = can_fill_in and 0 not in self._given
        if held_up:
            seconds = min(seconds, max(0.0, self._patience))
        self._arrived.wait(seconds)
        self._pass_time(held_up)

    def _pass_time(self, held_up: bool) -> None:
        now = time.monotonic()
        earned = (now - self._looked) * (_PATIENCE - held_up)
        self._looked = now
        self._patience = min(SILENCE_SECONDS, self._patience + earned)

    def _take(self, shard: int) -> bool:
        """Takes a share of a shard if there is one and it is wanted."""
        if len(self._shares) == len(self._threads):
            return False
        share = self._threads[shard].get(timeout=0)
        if share is None:
            return False
        self._shares.append((shard, share))
        self._given[shard] += 1
        return True

    def _join(
        self, shares: Sequence[tuple[int, SampledSuperbatch]]
    ) -> SampledSuperbatch:
        """Joins shares, one item of each in turn, so that each batch is of all."""
        givers = [shard for shard, _ in shares]
        parts = [share for _, share in shares]
        parts = [
            part._replace(
                probabilities=part.probabilities
                * np.float32(givers.count(giver) / len(givers))
            )
            for giver, part in zip(givers, parts, strict=True)
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
    """Returns arrays `[block * n, ...]` as one, `[block * n * len(arrays), ...]`.

    It takes one of each array in turn, within each of the `block` runs of n.
    """
    rest = arrays[0].shape[1:]
    runs = [array.reshape(block, -1, *rest) for array in arrays]
    return np.stack(runs, axis=2).reshape(-1, *rest)


def _take_as_it_is(share: SampledSuperbatch) -> SampledSuperbatch:
    return share
