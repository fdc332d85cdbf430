"""Superbatches sampled from several shards, also while one of them is dead."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import reverb
import scipy.stats
import tree
from mortal_servers import MortalServer, serve_shard

from distrl.checkpoints.layout import RunProgress, begin_part, complete_checkpoint
from distrl.replay import sharded
from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sharded import ShardedSampler


class Shards:
    """The servers of a sharded replay in this process, and their sampler."""

    def __init__(self, replay, **settings):
        settings = {"batch_size": 256, "steps_per_dispatch": 8} | settings
        self.replay, self.config = replay, replay.config(**settings)
        self.addresses, self.tables = [], []
        for _ in range(self.config.replay.shards):
            address, table = replay.serve(self.config)
            self.addresses.append(address)
            self.tables.append(table)
        self.sampler = start(self.addresses, self.config, replay.spec)

    def write(self, shard, ids):
        self.replay.fill(self.config, self.addresses[shard], ids)

    def read(self):
        return read(self.sampler)


def start(addresses, config, spec):
    return ShardedSampler(addresses, config, spec, lambda read: read)


def read(sampler, seconds=30):
    """Returns the next superbatch; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        superbatch = sampler.get(1.0)
        if superbatch is not None:
            return superbatch
    raise AssertionError("no superbatch came")


@pytest.fixture
def make(replay):
    made = []

    def make_shards(**settings):
        made.append(Shards(replay, **settings))
        return made[-1]

    yield make_shards
    for shards in made:
        shards.sampler.close(0.0)


@pytest.fixture
def patient(monkeypatch):
    """Keeps shards from filling in for one whose thread gets no CPU time."""
    monkeypatch.setattr(sharded, "SILENCE_SECONDS", 60.0)


@pytest.mark.parametrize("block", [1, 4])
def test_items_of_all_shards_are_drawn_uniformly(make, patient, replay, block):
    shards = make(shards=4, min_size=128, transitions_per_item=block, shuffle_steps=0)
    for shard in range(4):
        shards.write(shard, range(32 * shard, 32 * (shard + 1)))
    counts = np.zeros(128)
    for _ in range(10):
        superbatch = shards.read()
        ids = superbatch.items.reward_t.astype(int)
        np.testing.assert_allclose(superbatch.probabilities, block / 128, rtol=1e-6)
        # Each transition is whole: it equals the one written with its id.
        tree.map_structure(
            np.testing.assert_array_equal, superbatch.items, replay.batch(ids)
        )
        # Each batch has equal shares of all shards.
        for batch in ids.reshape(8, 256):
            np.testing.assert_array_equal(np.bincount(batch // 32), [64] * 4)
        # First transitions of all blocks come first, then second ones, and so on.
        for run in ids.reshape(block, -1):
            np.testing.assert_array_equal(run // 32, superbatch.shards)
        assert superbatch.keys.shape == superbatch.shards.shape == (2048 // block,)
        counts += np.bincount(ids, minlength=128)
    # The transitions of a block are drawn together.
    draws = counts.reshape(-1, block)[:, 0]
    assert scipy.stats.chisquare(draws).pvalue > 1e-6
    # The test can fail: it detects draws in proportion to 1 + id / 128.
    skewed = 1 + np.arange(len(draws)) / len(draws)
    skewed *= draws.sum() / skewed.sum()
    assert scipy.stats.chisquare(draws, skewed).pvalue < 1e-6


def change_priorities(shards, priorities):
    """Sets the priority of each id; returns the key of each id."""
    size = len(priorities)
    keys, held_by = np.zeros(size, np.uint64), np.zeros(size, int)
    while not keys.all():
        superbatch = shards.read()
        ids = superbatch.items.reward_t.astype(int)
        keys[ids], held_by[ids] = superbatch.keys, superbatch.shards
    updater = PriorityUpdater(shards.addresses, shards.config)
    updater.put(keys, held_by, priorities)
    for shard, address in enumerate(shards.addresses):
        shards.replay.await_priority(address, priorities[held_by == shard].max())
    updater.check()
    updater.close()
    return keys


@pytest.mark.parametrize("exponent", [0.0, 0.6])
@pytest.mark.parametrize("scales", [(1, 1, 1, 1), (1, 2, 4, 9)])
def test_prioritized_draws_are_proportional_within_each_shard(
    make, patient, exponent, scales
):
    """If all shards have the same total, draws are proportional over all of them."""
    shards = make(
        shards=4,
        kind="prioritized",
        priority_exponent=exponent,
        priority_epsilon=0.0,
        prefetch=1,
    )
    for shard in range(4):
        shards.write(shard, range(8 * shard, 8 * (shard + 1)))
    rng = np.random.default_rng(0)
    priorities = np.concatenate(
        [scale * rng.permutation(np.arange(1.0, 9.0)) for scale in scales]
    )
    keys = change_priorities(shards, priorities)
    weights = (priorities**exponent).reshape(4, 8)
    each = (weights / weights.sum(axis=1, keepdims=True)).ravel() / 4
    if len(set(scales)) == 1:
        np.testing.assert_allclose(each, weights.ravel() / weights.sum())
    # Superbatches drawn before the change come first.
    while not np.allclose(
        (last := shards.read()).probabilities,
        each[last.items.reward_t.astype(int)],
        rtol=1e-4,
    ):
        continue
    counts = np.zeros(32)
    for _ in range(10):
        superbatch = shards.read()
        ids = superbatch.items.reward_t.astype(int)
        np.testing.assert_allclose(superbatch.probabilities, each[ids], rtol=1e-4)
        np.testing.assert_array_equal(superbatch.keys, keys[ids])
        np.testing.assert_array_equal(superbatch.shards, ids // 8)
        counts += np.bincount(ids, minlength=32)
    assert scipy.stats.chisquare(counts, each * counts.sum()).pvalue > 1e-6


def test_sampling_begins_once_all_shards_reach_their_minimum(make):
    shards = make(shards=2, transitions_per_item=1, min_size=20)
    shards.write(0, range(50))
    shards.write(1, range(100, 109))
    # The first shard alone has more than min_size, but the second lacks one item.
    assert [shards.sampler.get(1.0) for _ in range(3)] == [None] * 3
    shards.write(1, [109])
    ids = shards.read().items.reward_t
    assert ids.min() < 50 and ids.max() >= 100


def test_missing_shard_is_an_error_with_its_address(replay):
    config = replay.config(shards=2, launch={"connect_seconds": 0.5})
    address, _ = replay.serve(config)
    replay.fill(config, address, range(256))
    sampler = start([address, "localhost:1"], config, replay.spec)
    with pytest.raises(RuntimeError, match="reading replay failed") as caught:
        read(sampler)
    assert "localhost:1 for 0.5 seconds" in str(caught.value.__cause__)
    sampler.close(0.0)


@pytest.fixture
def mortal(replay, tmp_path):
    """The second of two shards, which can be killed; `config` is that of both."""
    config = replay.config(
        batch_size=64,
        steps_per_dispatch=1,
        shards=2,
        transitions_per_item=1,
        min_size=20,
        samples_per_insert=1.0,
        error_buffer=128.0,
        launch={"connect_seconds": 30.0},
    )
    config = dataclasses.replace(config, run_dir=str(tmp_path))
    server = MortalServer(serve_shard, config, replay.spec, 1)
    server.config = config
    server.start()
    yield server
    server.kill()


def save(config, address):
    """Saves a complete checkpoint of the second shard; the other part is empty."""
    for name in config.replay.shard_names:
        part = begin_part(config.run_dir, "000001", name)
        if name == "replay/1":
            Path(reverb.Client(address).checkpoint()).rename(part)
        else:
            part.mkdir()
    progress = RunProgress(learner_steps=1)
    complete_checkpoint(config.run_dir, "000001", progress, 1)


def split(superbatches):
    """Returns the ids that came from each shard."""
    ids = np.concatenate([each.items.reward_t for each in superbatches]).astype(int)
    shards = np.concatenate([each.shards for each in superbatches])
    return [ids[shards == shard].tolist() for shard in range(2)]


def test_killed_shard_continues_from_checkpoint_while_others_serve(replay, mortal):
    config = mortal.config
    address, _ = replay.serve(config)
    sampler = start([address, mortal.address], config, replay.spec)
    # Ids below 1000 are the first shard's. Each shard allows 64 samples of 10 items.
    replay.fill(config, address, range(10))
    replay.fill(config, mortal.address, range(1000, 1010))
    begun = [read(sampler), read(sampler)]
    assert [len(ids) for ids in split(begun)] == [64, 64]
    saved = replay.read_counts(mortal.address)
    assert saved == (10, 10, 64)
    save(config, mortal.address)
    # Items written after the checkpoint are lost with the server.
    replay.fill(config, mortal.address, range(1010, 1015))
    mortal.kill()
    # The first shard gives all of each superbatch, as far as its own limit allows.
    replay.fill(config, address, range(10, 138))
    alone = [read(sampler), read(sampler)]
    given, none = split(alone)
    assert (len(given), none) == (128, []) and set(given) <= set(range(138))
    assert sampler.get(1.0) is None
    assert replay.read_counts(address) == (138, 138, 64 + 128)

    mortal.start()
    assert replay.read_counts(mortal.address) == saved
    # The limits of both continue: 64 more inserts each allow 64 more samples.
    replay.fill(config, address, range(138, 202))
    replay.fill(config, mortal.address, range(1020, 1084))
    again = [read(sampler), read(sampler)]
    assert [len(ids) for ids in split(again)] == [64, 64]
    # Samples that had arrived before the kill may be used.
    assert set(split(again)[1]) <= {*range(1000, 1015), *range(1020, 1084)}
    assert replay.read_counts(mortal.address) == (74, 74, 128)
    assert replay.read_counts(address) == (202, 202, 64 + 128 + 64)
    sampler.close(0.0)
