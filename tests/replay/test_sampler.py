import threading

import numpy as np
import pytest
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.replay.sampler import ReplaySampler
from distrl.replay.writer import BlockWriter
from distrl.types import StepSequence


def assert_equal(got, expected):
    """Compares nests of arrays: structure, dtypes and values."""

    def check(have, want):
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)

    tree.map_structure(check, got, expected)


@pytest.mark.parametrize("block", [1, 8, 32])
def test_round_trip_is_bit_exact(replay, block):
    config = replay.config(transitions_per_item=block, shuffle_steps=4)
    address, table = replay.serve(config)
    replay.write(config, address, replay.batch(range(256)))
    assert table.info.current_size == 256 // block

    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    seen = set()
    for _ in range(4):
        keys, probabilities, got, shards = sampler.read()
        assert keys.shape == (128 // block,) and keys.dtype == np.uint64
        assert shards.shape == keys.shape and not shards.any()
        assert probabilities.shape == (128,) and probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, block / 256)
        assert_equal(got, replay.batch(got.reward_t))
        # The transitions of blocks alternate: column i is the block of key i.
        for key, ids in zip(keys, got.reward_t.reshape(block, -1).T, strict=True):
            seen.add((int(key), tuple(ids)))
    assert len({key for key, _ in seen}) == len(seen)
    assert {i for _, ids in seen for i in ids} <= set(range(256))


@pytest.mark.parametrize(("core", "parts"), [("none", 0), ("gru", 1), ("lstm", 2)])
def test_round_trip_of_sequences_is_bit_exact(replay, core, parts):
    config = replay.config(
        batch_size=8, sequence_length=4, core=core, kind="prioritized"
    )
    address, table = replay.serve(config)
    written = replay.sequences(range(16), 4, parts)
    replay.write(config, address, written)
    assert table.info.current_size == 16

    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    keys, probabilities, got, shards = sampler.read()
    assert keys.shape == shards.shape == probabilities.shape == (16,)
    assert isinstance(got, StepSequence) and type(got.carry) is tuple
    assert_equal(got, replay.sequences(got.reward[:, 0], 4, parts))


def test_read_returns_none_until_items_arrive(replay):
    config = replay.config(transitions_per_item=8, shuffle_steps=0)
    address, _ = replay.serve(config)
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    assert sampler.read() is None
    replay.write(config, address, replay.batch(range(8)))
    assert sampler.read().items.reward_t.shape == (128,)


def test_missing_server_gives_none_then_an_error(replay):
    config = replay.config(launch={"connect_seconds": 1.2})
    address = f"localhost:{replay.free_port()}"
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    assert sampler.read() is None
    with pytest.raises(RuntimeError, match=f"{address} for 1.2 seconds"):
        sampler.read()


def test_slow_actors_lose_no_samples(replay):
    # One sample per insert, 20 ahead, and superbatches of 64 transitions.
    config = replay.config(
        batch_size=32,
        transitions_per_item=1,
        min_size=10,
        samples_per_insert=1.0,
        error_buffer=20.0,
    )
    address, table = replay.serve(config)
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)

    def sampled():
        return table.info.rate_limiter_info.sample_stats.completed

    replay.write(config, address, replay.batch(range(10)))
    assert sampler.read() is None
    assert sampled() == 20
    replay.write(config, address, replay.batch(range(10, 30)))
    assert sampler.read() is None
    assert sampled() == 40
    # Of the 80 samples that 70 inserts allow, 24 complete the superbatch begun by 40.
    replay.write(config, address, replay.batch(range(30, 60)))
    replay.write(config, address, replay.batch(range(60, 70)))
    first = sampler.read()
    assert first.keys.shape == first.items.reward_t.shape == (64,)
    assert_equal(first.items, replay.batch(first.items.reward_t))
    assert sampled() == 64
    assert sampler.read() is None
    assert sampled() == 80
    replay.write(config, address, replay.batch(range(70, 90)))
    assert sampler.read() is None
    replay.write(config, address, replay.batch(range(90, 118)))
    # 118 inserts allow 128 samples: the second superbatch, with none lost.
    assert sampler.read().keys.shape == (64,)
    assert sampled() == 128


def test_ratio_of_samples_to_inserts_is_kept(replay):
    config = replay.config(
        batch_size=64,
        steps_per_dispatch=2,
        transitions_per_item=8,
        min_size=256,
        samples_per_insert=4.0,
        prefetch=1,
    )
    address, table = replay.serve(config)
    stop = threading.Event()
    writer = BlockWriter(address, config, replay.spec, 0, stop)

    def write():
        while not stop.is_set():
            writer.write(replay.batch(range(16)))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    received = 0
    while received < 20_000:
        superbatch = sampler.read()
        if superbatch is not None:
            received += len(superbatch.probabilities)
    stop.set()
    thread.join(5.0)
    assert not thread.is_alive()
    limits = replay_sizes(config)
    stats = table.info.rate_limiter_info
    inserts, samples = stats.insert_stats.completed, stats.sample_stats.completed
    lead = (inserts - limits.min_size) * 4.0 - samples
    assert abs(lead) <= limits.error_buffer
    assert received <= samples * 8
    writer.close()
