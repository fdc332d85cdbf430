"""A replay that cannot fit is told of before the start."""

import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, LaunchConfig, ReplayConfig
from distrl.errors import ConfigError
from distrl.launch import replay_memory
from distrl.launch.replay_memory import check_replay_memory, count_item_bytes
from distrl.types import EnvironmentSpec

GIB = 2**30
PICTURES = EnvironmentSpec(
    observation=specs.Array((720, 1280, 3), np.uint8), num_actions=2
)
PICTURE = 720 * 1280 * 3
STACKS = EnvironmentSpec(observation=specs.Array((84, 84, 4), np.uint8), num_actions=2)
FRAME = 84 * 84


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 16 GiB, of which 8 are available."""
    sizes = {"MemAvailable": 8 * GIB, "MemTotal": 16 * GIB}
    monkeypatch.setattr(replay_memory, "read_memory", sizes.__getitem__)


def make_config(backend="processes", **replay):
    return Config(replay=ReplayConfig(**replay), launch=LaunchConfig(backend=backend))


@pytest.mark.parametrize(
    ("spec", "config", "size"),
    [
        # Action, reward and discount take 4 bytes each.
        (PICTURES, make_config(), 2 * PICTURE + 12),
        (STACKS, make_config(), 8 * FRAME + 12),
        # A frame is stored once; eight are referred to.
        (STACKS, make_config(frame_stack=4), FRAME + 12 + 8 * 4),
        (STACKS, make_config("serial", frame_stack=4), 8 * FRAME + 12),
        # Sequences have a mask, too, and overlap by half.
        (STACKS, make_config(sequence_length=10), 44 * FRAME + 10 * 16),
        (
            STACKS,
            make_config(sequence_length=10, sequence_period=3, frame_stack=4),
            3 * FRAME + 10 * 16 + 44 * 4,
        ),
    ],
)
def test_the_bytes_of_an_item(spec, config, size):
    assert count_item_bytes(config, spec) == size


def test_what_fits_is_not_worth_a_word():
    fitting = 8 * GIB // (2 * PICTURE + 12)
    assert check_replay_memory(make_config(capacity=fitting), PICTURES) == []
    (line,) = check_replay_memory(make_config(capacity=fitting + 1), PICTURES)
    assert f"enough for a capacity of {fitting:,}" in line


def test_a_replay_that_is_too_large_is_told_with_the_estimate():
    (line,) = check_replay_memory(make_config(capacity=10_000), PICTURES)
    assert line.startswith("replay.capacity = 10000: 10,000 transitions")
    assert "of 5.3 MiB take 51.5 GiB, and 8.0 GiB of memory are available" in line
    assert "enough for a capacity of 1,553" in line


def test_on_a_cluster_each_shard_has_a_machine():
    def check(capacity):
        config = make_config("ray", capacity=capacity, shards=4)
        return check_replay_memory(config, PICTURES)

    assert check(6_000) == []
    (line,) = check(8_000)
    assert "2,000 transitions in each shard" in line
    assert "enough for a capacity of 6,212" in line


def test_a_serial_buffer_that_cannot_be_allocated_is_refused():
    (line,) = check_replay_memory(make_config("serial", capacity=2_000), PICTURES)
    assert line.endswith("enough for a capacity of 1,553")
    with pytest.raises(ConfigError, match=r"take 20\.6 GiB.* Set it to that or less"):
        check_replay_memory(make_config("serial", capacity=4_000), PICTURES)


def test_a_mask_is_counted_as_it_is_stored():
    masked = EnvironmentSpec(
        observation={
            "observation": STACKS.observation,
            "action_mask": specs.Array((5,), np.bool_),
        },
        num_actions=5,
    )
    plain = count_item_bytes(make_config(frame_stack=4), STACKS)
    # Two observations, a word of 32 bits for each action.
    size = count_item_bytes(make_config(frame_stack=4), masked)
    assert size == plain + 2 * 5 * 4
