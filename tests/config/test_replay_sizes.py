"""Sizes of replay in items, computed by hand."""

import pytest

from distrl.config import Config, LearnerConfig, ReplayConfig
from distrl.config.replay_sizes import ReplaySizes, replay_sizes


def derive(batch_size=256, steps_per_dispatch=8, **replay):
    learner = LearnerConfig(
        batch_size=batch_size, steps_per_dispatch=steps_per_dispatch
    )
    return replay_sizes(Config(replay=ReplayConfig(**replay), learner=learner))


def test_default_replay_sizes_are_derived():
    assert derive() == ReplaySizes(
        capacity=3_125,  # 100,000 / 32
        min_size=32,  # 1,000 / 32 = 31.25, rounded up
        share=64,  # 256 * 8 / 32
        error_buffer=256.0,  # 64 in flight and (2 + 1) * 64 that may wait
        pool=128,  # 8 steps of 16 environments
    )


def test_items_of_one_transition_keep_sizes_in_transitions():
    sizes = derive(transitions_per_item=1)
    assert (sizes.capacity, sizes.min_size, sizes.share) == (100_000, 1_000, 2_048)
    assert sizes.error_buffer == 2_048 * 4


def test_capacity_rounds_down_and_min_size_up():
    sizes = derive(capacity=100, min_size=10, transitions_per_item=8)
    assert (sizes.capacity, sizes.min_size) == (12, 2)  # 12.5 and 1.25
    sizes = derive(capacity=96, min_size=16, transitions_per_item=8)
    assert (sizes.capacity, sizes.min_size) == (12, 2)


def test_shards_divide_replay_equally():
    assert derive(shards=4) == ReplaySizes(
        capacity=781,  # 100,000 / 32 / 4 = 781.25, rounded down
        min_size=8,  # 1,000 / 32 / 4 = 7.8, rounded up
        share=16,  # 256 * 8 / 32 / 4
        error_buffer=64.0,  # 16 * (2 + 2), which is also twice 32
        pool=128,
    )
    assert derive(shards=4, error_buffer=8_192.0).error_buffer == 64.0
    # At least twice what an insert allows, however small the shares are.
    assert derive(shards=16).error_buffer == 64.0


@pytest.mark.parametrize(
    ("replay", "error_buffer"),
    [
        # A configured buffer is in transitions: 1024 / 32.
        ({"error_buffer": 1024.0}, 32.0),
        ({"error_buffer": 1024.0, "transitions_per_item": 1}, 1024.0),
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
    ("replay", "pool"),
    [
        ({}, 128),  # 8 steps of 16 environments
        ({"shuffle_steps": 0}, 32),  # one block
        ({"transitions_per_item": 1}, 0),
        ({"kind": "prioritized"}, 0),
        ({"sequence_length": 20}, 0),
    ],
)
def test_shuffle_pool_size_follows_the_replay_settings(replay, pool):
    assert derive(**replay).pool == pool
