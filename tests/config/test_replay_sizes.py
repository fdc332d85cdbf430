"""Sizes of replay in items, computed by hand."""

import pytest

from distrl.config import Config, LearnerConfig, ReplayConfig
from distrl.config.replay_sizes import ReplaySizes, replay_sizes

SINGLE = {"transitions_per_item": 1}
EIGHT = {"transitions_per_item": 8}


def derive(batch_size=256, steps_per_dispatch=8, **replay):
    learner = LearnerConfig(
        batch_size=batch_size, steps_per_dispatch=steps_per_dispatch
    )
    return replay_sizes(Config(replay=ReplayConfig(**replay), learner=learner))


def test_default_replay_sizes_are_derived():
    assert derive(sampled_on="server") == ReplaySizes(
        capacity=3_125,  # 100,000 / 32
        min_size=32,  # 1,000 / 32 = 31.25, rounded up
        share=64,  # 256 * 8 / 32
        error_buffer=256.0,  # 64 in flight and (2 + 1) * 64 that may wait
        queue=8,  # an item allows 32 samples
        pool=128,  # 8 steps of 16 environments
    )


@pytest.mark.parametrize(
    ("replay", "capacity", "min_size", "share", "error_buffer"),
    [
        (SINGLE, 100_000, 1_000, 2_048, 2_048 * 4.0),
        # 12.5 is rounded down, 1.25 up; 256 * (2 + 2).
        ({"capacity": 100, "min_size": 10, **EIGHT}, 12, 2, 256, 1_024.0),
        ({"capacity": 96, "min_size": 16, **EIGHT}, 12, 2, 256, 1_024.0),
        # 100,000 / 32 / 4, 1,000 / 32 / 4, 256 * 8 / 32 / 4, and 16 * (2 + 2).
        ({"shards": 4}, 781, 8, 16, 64.0),
        ({"shards": 4, "error_buffer": 8_192.0}, 781, 8, 16, 64.0),
        # At least twice what an insert allows, however small the shares are.
        ({"shards": 16}, 195, 2, 4, 64.0),
    ],
)
def test_sizes_are_those_of_one_shard(replay, capacity, min_size, share, error_buffer):
    sizes = derive(**replay)
    assert (sizes.capacity, sizes.min_size) == (capacity, min_size)
    assert (sizes.share, sizes.error_buffer) == (share, error_buffer)


@pytest.mark.parametrize(
    ("replay", "error_buffer"),
    [
        # A configured buffer is in transitions: 1024 / 32.
        ({"error_buffer": 1024.0}, 32.0),
        # Superbatches of 2 items: 2 * (1 + 2), and 2 * (5 + 2).
        ({"prefetch": 1, "samples_per_insert": 1.0}, 6.0),
        ({"prefetch": 5, "samples_per_insert": 1.0}, 14.0),
        # Each insert allows 8 samples: twice 8 is more than 2 * (1 + 2).
        ({"prefetch": 1, "samples_per_insert": 8.0}, 16.0),
        # No limit counts as one sample per insert, since nothing waits.
        ({"prefetch": 1, "samples_per_insert": None}, 6.0),
    ],
)
def test_error_buffer_follows_the_replay_settings(replay, error_buffer):
    sizes = derive(batch_size=64, steps_per_dispatch=1, **replay)
    assert sizes.error_buffer == error_buffer


@pytest.mark.parametrize(
    ("replay", "queue"),
    [
        ({}, 8),
        # Learner and actors may be (64 + 3 * 64) items of 32 apart.
        ({"samples_per_insert": 1.0}, 256),
        ({"samples_per_insert": None}, 256),
        ({"error_buffer": 2048.0}, 2),
        # However many updates an item allows, two fit.
        ({"samples_per_insert": 10_000.0}, 2),
    ],
)
def test_queue_holds_what_the_actors_may_be_ahead(replay, queue):
    assert derive(**replay).queue == queue


def test_pool_is_a_block_unless_it_is_shuffled_for_the_server():
    server = {"sampled_on": "server"}
    assert derive(**server).pool == 128
    assert derive(shuffle_steps=0, **server).pool == 32
    assert derive().pool == 32
    # Blocks of steps of one of 16 environments.
    assert derive(frame_stack=4).pool == 512
    for replay in (SINGLE, {"kind": "prioritized"}, {"sequence_length": 20}):
        assert derive(**replay, **server).pool == 1
