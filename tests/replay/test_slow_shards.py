"""Superbatches while some shards are slower than others."""

import threading
import time

import numpy as np
import pytest
from replay.conftest import Replay

from distrl.replay import sharded
from distrl.replay.sampler import SampledSuperbatch
from distrl.replay.sharded import ShardedSampler

_FAST = 0.02
_SILENCE = 0.4


class Paced:
    """A shard whose reads take so many seconds each, except the first one."""

    def __init__(self, shard, seconds):
        self.shard, self.seconds = shard, seconds
        self.reading_seconds = 0.0
        self._has_begun = False
        self._closed = threading.Event()
        self.watch = NoWatch()

    def read(self):
        end = time.monotonic() + self.seconds * self._has_begun
        self._has_begun = True
        while (now := time.monotonic()) < end and not self._closed.is_set():
            self._closed.wait(min(end - now, _FAST))
            self.reading_seconds += time.monotonic() - now
        return SampledSuperbatch(
            keys=np.arange(2, dtype=np.uint64),
            probabilities=np.full(2, 0.25, np.float32),
            items=np.full(2, self.shard),
            shards=np.full(2, self.shard),
        )

    def close(self):
        self._closed.set()


class NoWatch:
    def look(self):
        pass


def read_paced(paces, warm_up, seconds):
    """Reads shards of these paces for so many seconds after a warm-up.

    Returns the superbatches and the fraction of the time that each shard was reading.
    """
    shards = []

    def make(pace, config, spec, shard):
        shards.append(Paced(shard, pace))
        return shards[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded, "ReplaySampler", make)
        config = Replay.config(transitions_per_item=1)
        sampler = ShardedSampler(paces, config, Replay.spec, lambda read: read)
    read_for(sampler, warm_up)
    before = [shard.reading_seconds for shard in shards]
    superbatches = read_for(sampler, seconds)
    busy = [shard.reading_seconds - b for shard, b in zip(shards, before, strict=True)]
    sampler.close(0.0)
    for shard in shards:
        shard.close()
    return superbatches, [each / seconds for each in busy]


def read_for(sampler, seconds):
    end = time.monotonic() + seconds
    superbatches = []
    while time.monotonic() < end:
        superbatches.append(sampler.get(0.1))
    return [each for each in superbatches if each is not None]


@pytest.mark.parametrize(
    "paces",
    [
        # In units of the silence after which a read returns None.
        [_FAST, 0.5 * _SILENCE],
        [_FAST, 1.5 * _SILENCE],
        [_FAST, 3.0 * _SILENCE],
        [5 * _FAST, _FAST, _FAST],
        [_FAST, 0.5 * _SILENCE, _FAST, 1.2 * _SILENCE],
    ],
)
def test_slow_shards_do_not_delay_the_others(monkeypatch, paces):
    monkeypatch.setattr(sharded, "SILENCE_SECONDS", _SILENCE)
    superbatches, busy = read_paced(paces, 1.2 * _SILENCE, 6 * _SILENCE)
    for pace, share in zip(paces, busy, strict=True):
        # No shard waits long to be read, so what a slow one gives is used, too.
        assert share > 0.75, (pace, busy)
    for superbatch in superbatches:
        parts = np.bincount(superbatch.shards, minlength=len(paces)) / (2 * len(paces))
        np.testing.assert_allclose(
            superbatch.probabilities, 0.25 * parts[superbatch.shards]
        )


def test_shards_of_similar_pace_give_equal_shares():
    """A shard that is only slightly slower than the others is waited for."""
    superbatches, _ = read_paced([0.02, 0.0203, 0.02], 0.0, 1.5)
    assert len(superbatches) > 5
    for superbatch in superbatches:
        assert np.bincount(superbatch.shards).tolist() == [2, 2, 2]
