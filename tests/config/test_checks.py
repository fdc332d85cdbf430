"""Combinations of fields that no run can have."""

import dataclasses
import re

import pytest

from distrl.config import Config, StopConfig, check_config, check_devices, load_config
from distrl.config.replay_sizes import replay_sizes, smallest_error_buffer
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"replay.kind": "prioritized", "replay.transitions_per_item": 1},
        # 32 transitions an item * 32 samples an insert, the smallest there is.
        {"replay.error_buffer": 1024.0},
        # Below one sample an insert, a buffer of one item is enough.
        {"replay.error_buffer": 32.0, "replay.samples_per_insert": 0.5},
        {"replay.error_buffer": 1.0, "replay.samples_per_insert": None},
        # One superbatch: 256 * 8.
        {"replay.capacity": 2048, "replay.min_size": 2048},
        {"replay.min_size": 32},
        {"learner.target_update_period": None, "learner.target_update_rate": 0.01},
        {"learner.devices": 4},
        {"actor.count": 2, "variables.relays": 2},
        # Without relays parameters are fetched once on their way.
        {"actor.fetch_seconds": 5.0, "variables.stale_seconds": 10.0},
        {"actor.fetch_seconds": 1000.0},
        {"seed": 0},
        {"seed": 2**31 - 1},
        {"agent": "c51", "network.noisy": True, "replay.kind": "prioritized"}
        | {"replay.transitions_per_item": None},
    ],
)
def test_possible_configurations(overrides):
    check_config(load_config(None, overrides))


_PRIORITIZED = {"replay.kind": "prioritized", "replay.transitions_per_item": 32}
_TWO_SHARDS = {"replay.shards": 2, "replay.capacity": 64, "replay.min_size": 64}
_SMALL_BATCH = {"learner.batch_size": 128, "learner.steps_per_dispatch": 1}
_LATE = {"actor.fetch_seconds": 5.0, "variables.relays": 1}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"replay.error_buffer": 1023.0}, "replay.error_buffer = 1023: .* 1024"),
        (
            {"replay.error_buffer": 31.0, "replay.samples_per_insert": 0.5},
            "replay.error_buffer = 31: .* 32",
        ),
        ({"replay.min_size": 100_001}, "min_size = 100001: .*capacity = 100000"),
        # 2050 transitions are 65 items of 32, and 2079 hold only 64.
        (
            {"replay.min_size": 2050, "replay.capacity": 2079},
            "replay.min_size = 2050: .* replay.capacity = 2079 .*65 and 64",
        ),
        ({"replay.min_size": 31}, "min_size = 31: .*transitions_per_item = 32"),
        ({"replay.capacity": 2047}, "replay.capacity = 2047: .* superbatch.* 2048"),
        ({"replay.shards": 4}, "replay.shards = 4: .* actor.count = 2.* of 4"),
        ({"replay.shards": 3, "actor.count": 3}, "replay.shards = 3: .* = 64"),
        (_TWO_SHARDS | _SMALL_BATCH, "replay.capacity = 64: .* superbatch.* 128"),
        (
            {"replay.shards": 2, "replay.capacity": 127, "replay.min_size": 65},
            "items of 32, in each of 2 shards: 2 and 1",
        ),
        (
            {"replay.shards": 2, "replay.error_buffer": 2047.0},
            "replay.error_buffer = 2047: .* 2048",
        ),
        ({"learner.batch_size": 90}, "transitions_per_item = 32: .* 720"),
        (_PRIORITIZED, "transitions_per_item = 32: it must be 1"),
        (
            {"agent": "r2d2", "replay.transitions_per_item": 4},
            "transitions_per_item = 4: it must be 1",
        ),
        (
            {"learner.target_update_rate": 0.01},
            "target_update_period = 100 and .*target_update_rate = 0.01",
        ),
        (
            {"learner.target_update_period": None},
            "target_update_period = null and .*target_update_rate = null",
        ),
        ({"learner.devices": 3}, "batch_size = 256: .* of 3, .*learner.devices"),
        ({"variables.relays": 3}, "variables.relays = 3: .* actor.count = 2"),
        (
            _LATE | {"variables.stale_seconds": 10.0},
            "variables.stale_seconds = 10: .* 10 s .* actor.fetch_seconds = 5 ",
        ),
        ({"name": "a/b"}, "name = 'a/b': .* run_dir"),
        ({"name": ".."}, "name = '..': "),
        ({"agent": " "}, "agent = ' ': .* not blank"),
        ({"environment": ""}, "environment = '': "),
        ({"network.factory": ""}, "network.factory = '': "),
        ({"run_dir": ""}, "run_dir = '': "),
        ({"loss.v_min": 10.0}, "loss.v_min = 10 and loss.v_max = 10"),
        ({"network.head": "none", "network.noisy": True}, "network.noisy = true: "),
        ({"network.head": "none", "network.core": "gru"}, "network.core = 'gru': "),
        ({"network.core": "gru"}, "network.core = gru: .* replay.sequence_length"),
        ({"replay.sequence_length": 8}, "sequence_length = 8: agent 'double_dqn'"),
        (
            {"agent": "r2d2", "replay.sequence_length": None},
            "learns from sequences; set replay.sequence_length",
        ),
        ({"replay.sequence_period": 3}, "sequence_period = 3: .* = null"),
        (
            {"agent": "r2d2", "replay.sequence_period": 21},
            "sequence_period = 21: .*sequence_length = 20",
        ),
        ({"agent": "r2d2", "loss.burn_in": 20}, "loss.burn_in = 20: .* = 20"),
        ({"actor.initial_priorities": True}, "initial_priorities = true: .*kind"),
        (
            {"agent": "r2d2", "actor.initial_priorities": True},
            "actor.initial_priorities = true: .* replay.sequence_length",
        ),
    ],
)
def test_impossible_configurations(overrides, words):
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    assert re.search(words, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # Python's dataclasses check neither types nor ranges.
        ({"actor": None}, "actor = null: .* ActorConfig"),
        ({"seed": "1"}, "seed = '1': .* a whole number"),
        ({"stop": StopConfig(seconds=float("inf"))}, "stop.seconds = inf: "),
        ({"environment_args": {"x": (1,)}}, r"environment_args.x = \(1,\): "),
        ({"agent": "rainbow"}, "network.head = 'linear': .*'c51'"),
    ],
)
def test_impossible_configurations_in_python(changes, words):
    with pytest.raises(ConfigError, match=words):
        check_config(dataclasses.replace(Config(), **changes))


def test_devices_that_are_known_late():
    check_devices(Config(), 1)
    check_devices(Config(), 8)
    with pytest.raises(ConfigError, match="must be a multiple of 6"):
        check_devices(Config(), 6)
    two = load_config(None, {"learner.devices": 2})
    # 7 do not divide the batch, and 2 of them do.
    check_devices(two, 7)
    with pytest.raises(ConfigError, match=r"learner\.devices = 2: JAX shows 1 here"):
        check_devices(two, 1)


@pytest.mark.parametrize("rate", [0.25, 1.0, 8.0, 32.0])
@pytest.mark.parametrize("block", [1, 8, 32])
def test_derived_buffers_are_never_too_small(rate, block):
    overrides = {"samples_per_insert": rate, "transitions_per_item": block}
    config = load_config(None, {"replay": overrides})
    assert replay_sizes(config).error_buffer >= smallest_error_buffer(rate)
