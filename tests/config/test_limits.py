"""Replay in items, by hand."""

import pytest

from distrl.config import (
    ActorConfig,
    Config,
    LearnerConfig,
    ReplayConfig,
    VariablesConfig,
)
from distrl.config.limits import (
    ReplayLimits,
    count_kept_frames,
    count_pooled,
    derive_limits,
    find_stale_seconds,
    list_shards,
    smallest_error_buffer,
    usual_staleness,
)


def derive(batch_size=256, steps_per_dispatch=8, **replay):
    learner = LearnerConfig(
        batch_size=batch_size, steps_per_dispatch=steps_per_dispatch
    )
    return derive_limits(Config(replay=ReplayConfig(**replay), learner=learner))


def test_the_defaults():
    assert derive() == ReplayLimits(
        capacity=3_125,  # 100,000 / 32
        min_size=32,  # 1,000 / 32 = 31.25, upwards
        share=64,  # 256 * 8 / 32
        samples_per_insert=32.0,  # an item is sampled as often as what it holds
        error_buffer=256.0,  # 64 on their way, (2 + 1) * 64 more that may wait
    )


def test_items_of_one_transition_are_the_reference():
    limits = derive(transitions_per_item=1)
    assert (limits.capacity, limits.min_size) == (100_000, 1_000)
    assert limits.share == 2_048
    assert limits.error_buffer == 2_048 * 4


@pytest.mark.parametrize(
    ("capacity", "min_size", "block", "items"),
    [
        (100, 10, 8, (12, 2)),  # 12.5 down, 1.25 up
        (96, 16, 8, (12, 2)),
        (96, 17, 8, (12, 3)),
        (31, 31, 32, (0, 1)),  # no room at all; check_config refuses it
    ],
)
def test_capacity_rounds_down_and_the_minimum_up(capacity, min_size, block, items):
    limits = derive(capacity=capacity, min_size=min_size, transitions_per_item=block)
    assert (limits.capacity, limits.min_size) == items


def test_the_superbatch_in_items():
    limits = derive(batch_size=32, steps_per_dispatch=3, transitions_per_item=16)
    assert limits.share == 6


def test_shards_have_equal_parts_of_the_whole():
    assert derive(shards=4) == ReplayLimits(
        capacity=781,  # 100,000 / 32 / 4 = 781.25, downwards
        min_size=8,  # 1,000 / 32 / 4 = 7.8, upwards
        share=16,  # 256 * 8 / 32 / 4
        samples_per_insert=32.0,
        error_buffer=64.0,  # 16 * (2 + 2), which is twice 32, too
    )
    assert derive(shards=4, error_buffer=8_192.0).error_buffer == 64.0
    # Twice what an insert allows, however small the shares are.
    assert derive(shards=16).error_buffer == 64.0


def test_shards_are_named_like_their_nodes():
    assert list_shards(Config()) == ("replay/0",)
    config = Config(replay=ReplayConfig(shards=3))
    assert list_shards(config) == ("replay/0", "replay/1", "replay/2")


@pytest.mark.parametrize(
    ("replay", "error_buffer"),
    [
        # A buffer that is given is in transitions: 1024 / 32.
        ({"error_buffer": 1024.0}, 32.0),
        ({"error_buffer": 1024.0, "transitions_per_item": 1}, 1024.0),
        # Superbatches of 2 items: 2 * (1 + 2), and 2 * (5 + 2).
        ({"prefetch": 1, "samples_per_insert": 1.0}, 6.0),
        ({"prefetch": 5, "samples_per_insert": 1.0}, 14.0),
        # Each insert allows 8 samples: twice 8 is more than 2 * (1 + 2).
        ({"prefetch": 1, "samples_per_insert": 8.0}, 16.0),
        # Without a limit nobody waits; it counts as one sample an insert.
        ({"prefetch": 1, "samples_per_insert": None}, 6.0),
    ],
)
def test_the_error_buffer(replay, error_buffer):
    limits = derive(batch_size=64, steps_per_dispatch=1, **replay)
    assert limits.error_buffer == error_buffer
    assert limits.samples_per_insert == replay.get("samples_per_insert", 32.0)


@pytest.mark.parametrize(("rate", "items"), [(0.25, 1.0), (1.0, 1.0), (32.0, 32.0)])
def test_the_smallest_error_buffer_is_one_insert_or_one_sample(rate, items):
    assert smallest_error_buffer(rate) == items


@pytest.mark.parametrize(
    ("replay", "n_step", "pooled", "kept"),
    [
        # 8 steps of 16 environments; stacks of 4 and a step; 8 whole transitions.
        ({"transitions_per_item": 8}, 1, 128, 2 * 128 + 16 * 5 + 8 * 8),
        ({"transitions_per_item": 8}, 3, 128, 2 * 128 + 16 * 7 + 8 * 8),
        ({"transitions_per_item": 32, "shuffle_steps": 0}, 1, 32, 64 + 80 + 32 * 8),
        ({"transitions_per_item": 1}, 1, 0, 16 * 5 + 8),
        ({"kind": "prioritized"}, 3, 0, 16 * 7 + 8),
        ({"sequence_length": 20}, 1, 0, 16 * 24 + 21 * 4),
    ],
)
def test_what_an_actor_pools_and_the_frames_that_it_may_refer_to(
    replay, n_step, pooled, kept
):
    config = Config(
        replay=ReplayConfig(frame_stack=4, **replay), actor=ActorConfig(n_step=n_step)
    )
    assert count_pooled(config) == pooled
    assert count_kept_frames(config) == kept


@pytest.mark.parametrize(("relays", "usual"), [(0, 3.0), (1, 6.0), (4, 6.0)])
def test_parameters_are_fetched_once_more_where_there_are_relays(relays, usual):
    actor = ActorConfig(count=4, fetch_seconds=3.0)
    config = Config(actor=actor, variables=VariablesConfig(relays=relays))
    assert usual_staleness(config) == usual
    assert find_stale_seconds(config) == usual + 10.0


def test_what_is_too_stale_may_be_set():
    config = Config(variables=VariablesConfig(stale_seconds=0.5))
    assert find_stale_seconds(config) == 0.5
