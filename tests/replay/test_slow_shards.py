"""Superbatches while a shard is slower than the others."""

import threading

import numpy as np
import pytest
from clocks import Clock
from replay.conftest import Replay

from distrl.replay import sharded
from distrl.replay.sampler import SampledSuperbatch
from distrl.replay.sharded import ShardedSampler


class Gated:
    """A shard that gives a share for each release."""

    def __init__(self, shard):
        self.shard = shard
        self.watch = self
        self.released = threading.Semaphore(0)

    def look(self):
        pass

    def read(self):
        if not self.released.acquire(timeout=0.05):
            return None
        return SampledSuperbatch(
            keys=np.arange(2, dtype=np.uint64),
            probabilities=np.full(2, 0.25, np.float32),
            items=np.full(2, self.shard),
            shards=np.full(2, self.shard),
        )


class Shards:
    """Two shards and their sampler, whose clock only the test advances."""

    def __init__(self, monkeypatch):
        self.clock = Clock(100.0)
        self.shards, self.joined = [], 0
        time = type("time", (), {"monotonic": self.clock})
        monkeypatch.setattr(sharded, "time", time)
        monkeypatch.setattr(sharded, "ReplaySampler", self._make)
        config = Replay.config(transitions_per_item=1)
        self.sampler = ShardedSampler(["", ""], config, Replay.spec, self._convert)

    def _make(self, address, config, spec, items, shard):
        self.shards.append(Gated(shard))
        return self.shards[-1]

    def _convert(self, superbatch):
        self.joined += 1
        return superbatch

    def read(self):
        """Returns how many items of the next superbatch each shard gave."""
        superbatch = self.sampler.get(30.0)
        given = np.bincount(superbatch.shards, minlength=2)
        wanted = 0.25 * given / given.sum()
        np.testing.assert_allclose(superbatch.probabilities, wanted[superbatch.shards])
        return given.tolist()

    def assert_waits(self, seconds):
        """Checks that the sampler waits for the slow shard so long, then fills in."""
        Replay.wait_until(lambda: self.sampler._is_held_up)
        self.clock.now += 0.9 * seconds
        assert self.sampler.get(0.3) is None
        self.clock.now += 0.2 * seconds
        assert self.read() == [4, 0]


@pytest.fixture
def shards(monkeypatch):
    made = Shards(monkeypatch)
    yield made
    made.sampler.close(0.0)


def test_slow_shard_is_waited_for_within_limits(shards):
    fast, slow = shards.shards
    fast.released.release(1_000)
    # Learning begins when both have given.
    assert shards.sampler.get(0.3) is None
    slow.released.release()
    assert shards.read() == [2, 2]
    shards.assert_waits(1.0)
    # From now on it fills in at once: one is taken, one queued, and one held.
    Replay.wait_until(lambda: shards.joined == 4)
    # While nobody waits, a twentieth of the time is added to the limit.
    shards.clock.now += 10.0
    assert [shards.read(), shards.read()] == [[4, 0], [4, 0]]
    shards.assert_waits(0.5)
    # What a slow shard gives is used.
    slow.released.release()
    assert [2, 2] in [shards.read() for _ in range(5)]
