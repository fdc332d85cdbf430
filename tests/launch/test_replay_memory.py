"""A replay that may not fit in memory is noted before the start."""

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


def check(capacity, backend="processes", **replay):
    """Returns what is noted about a replay of pictures."""
    config = make_config(backend, capacity=capacity, **replay)
    return "".join(check_replay_memory(config, PICTURES))


def test_replay_that_may_not_fit_is_noted_with_the_estimate():
    fitting = 8 * GIB // (2 * PICTURE + 12)
    assert check(fitting) == ""
    assert f"enough for a capacity of {fitting:,}" in check(fitting + 1)
    line = check(10_000)
    assert line.startswith("replay.capacity = 10000: transitions of 5,529,612 bytes")
    assert "take 51.5 GiB before compression, and 8.0 GiB of memory are" in line
    assert line.endswith("enough for a capacity of 1,553")


def test_on_a_cluster_each_shard_has_a_machine():
    assert check(6_000, "ray", shards=4) == ""
    line = check(8_000, "ray", shards=4)
    assert "32.0 GiB of memory are available on 4 machines" in line
    assert "enough for a capacity of 6,213" in line


def test_serial_buffer_that_cannot_be_allocated_is_refused():
    assert check(2_000, "serial").endswith("enough for a capacity of 1,553")
    with pytest.raises(ConfigError, match=r"take 20\.6 GiB.* Set it to that or less"):
        check(4_000, "serial")
