"""Combinations that no run can have."""

import dataclasses

import pytest

from distrl.config import Config, check_config, check_devices
from distrl.config.replay_sizes import replay_sizes, smallest_error_buffer
from distrl.errors import ConfigError


def _change(**changes):
    """Returns the default configuration with fields of sections changed."""
    config = Config()
    for name, value in changes.items():
        if isinstance(value, dict):
            value = dataclasses.replace(getattr(config, name), **value)
        config = dataclasses.replace(config, **{name: value})
    return config


_PRIORITIZED = {"kind": "prioritized", "transitions_per_item": 1}


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        _change(replay=_PRIORITIZED),
        # 32 transitions an item * 32 samples an insert, the smallest there is.
        _change(replay={"error_buffer": 1024.0}),
        # Below one sample an insert, a buffer of one item is enough.
        _change(replay={"error_buffer": 32.0, "samples_per_insert": 0.5}),
        _change(replay={"error_buffer": 1.0, "samples_per_insert": None}),
        # One superbatch: 256 * 8.
        _change(replay={"capacity": 2048, "min_size": 2048}),
        _change(replay={"min_size": 32}),
        _change(learner={"target_update_period": None, "target_update_rate": 0.01}),
        _change(learner={"devices": 4}),
        _change(actor={"count": 2}, variables={"relays": 2}),
        # Without relays parameters are fetched once on their way.
        _change(actor={"fetch_seconds": 5.0}, variables={"stale_seconds": 10.0}),
        _change(actor={"fetch_seconds": 1000.0}),
        _change(stop={"env_steps": 1}),
        _change(seed=0),
        _change(seed=2**31 - 1),
    ],
)
def test_possible_configurations(config):
    check_config(config)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (_change(actor={"count": 0}), ["actor.count = 0", "at least 1"]),
        (
            _change(replay={"samples_per_insert": 0.0}),
            ["replay.samples_per_insert = 0.0", "above 0", "null"],
        ),
        (
            _change(replay={"error_buffer": 1023.0}),
            ["replay.error_buffer = 1023", "at least 1024", "null"],
        ),
        (
            _change(replay={"error_buffer": 31.0, "samples_per_insert": 0.5}),
            ["replay.error_buffer = 31", "at least 32"],
        ),
        (
            _change(replay={"min_size": 100_001}),
            ["replay.min_size = 100001", "at most replay.capacity = 100000"],
        ),
        (
            # 2050 transitions are 65 items of 32, and 2079 hold only 64.
            _change(replay={"min_size": 2050, "capacity": 2079}),
            ["replay.min_size = 2050", "replay.capacity = 2079", "65 and 64"],
        ),
        (
            _change(replay={"min_size": 31}),
            ["replay.min_size = 31", "replay.transitions_per_item = 32"],
        ),
        (
            _change(replay={"capacity": 2047}),
            ["replay.capacity = 2047", "superbatch", "2048"],
        ),
        (
            _change(replay={"shards": 4}),
            ["replay.shards = 4", "actor.count = 2", "a multiple of 4"],
        ),
        (
            _change(replay={"shards": 3}, actor={"count": 3}),
            ["replay.shards = 3", "the items of a superbatch", "64"],
        ),
        (
            _change(
                replay={"shards": 2, "capacity": 64, "min_size": 64},
                learner={"batch_size": 128, "steps_per_dispatch": 1},
            ),
            ["replay.capacity = 64", "superbatch", "128"],
        ),
        (
            _change(replay={"shards": 2, "capacity": 127, "min_size": 65}),
            ["items of 32, in each of 2 shards: 2 and 1"],
        ),
        (
            _change(replay={"shards": 2, "error_buffer": 2047.0}),
            ["replay.error_buffer = 2047", "at least 2048", "replay.shards"],
        ),
        (
            _change(learner={"batch_size": 90}),
            ["replay.transitions_per_item = 32", "divide the superbatch", "720"],
        ),
        (
            _change(replay={"kind": "prioritized", "transitions_per_item": 32}),
            ["replay.transitions_per_item = 32", "must be 1", "prioritized"],
        ),
        (
            _change(learner={"target_update_rate": 0.01}),
            ["target_update_period = 100", "target_update_rate = 0.01", "exactly one"],
        ),
        (
            _change(learner={"target_update_period": None}),
            ["target_update_period = null", "target_update_rate = null"],
        ),
        (
            _change(learner={"devices": 3}),
            ["learner.batch_size = 256", "a multiple of 3", "learner.devices"],
        ),
        (
            _change(actor={"count": 2}, variables={"relays": 3}),
            ["variables.relays = 3", "at most actor.count = 2"],
        ),
        (
            _change(
                actor={"fetch_seconds": 5.0},
                variables={"relays": 1, "stale_seconds": 10.0},
            ),
            ["variables.stale_seconds = 10", "up to 10 s", "fetch_seconds = 5"],
        ),
        (_change(stop={"episodes": 0}), ["stop.episodes = 0", "at least 1"]),
        (_change(name="a/b"), ["name = 'a/b'", "run_dir"]),
        (_change(name=".."), ["name = '..'"]),
        (_change(agent=" "), ["agent = ' '", "not blank"]),
        (_change(environment=""), ["environment = ''"]),
        (_change(network={"factory": ""}), ["network.factory = ''"]),
        (_change(run_dir=""), ["run_dir = ''"]),
        # Python's dataclasses check neither types nor ranges.
        (_change(actor=None), ["actor = null", "ActorConfig"]),
        (_change(seed="1"), ["seed = '1'", "a whole number"]),
        (_change(network={"args": {"x": (1,)}}), ["network.args.x = (1,)"]),
        (_change(stop={"seconds": float("inf")}), ["stop.seconds = inf"]),
    ],
)
def test_impossible_configurations(config, words):
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_devices_that_are_known_late():
    check_devices(Config(), 1)
    check_devices(Config(), 8)
    with pytest.raises(ConfigError, match="must be a multiple of 6"):
        check_devices(Config(), 6)


def test_devices_asked_for():
    config = _change(learner={"devices": 2})
    # 7 do not divide the batch, and 2 of them do.
    check_devices(config, 7)
    with pytest.raises(ConfigError, match=r"learner\.devices = 2: JAX shows 1 here"):
        check_devices(config, 1)


@pytest.mark.parametrize("rate", [0.25, 1.0, 8.0, 32.0])
@pytest.mark.parametrize("block", [1, 8, 32])
def test_derived_buffers_are_never_too_small(rate, block):
    replay = {"samples_per_insert": rate, "transitions_per_item": block}
    config = _change(replay=replay)
    check_config(config)
    assert replay_sizes(config).error_buffer >= smallest_error_buffer(rate)
