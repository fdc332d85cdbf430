"""Checks of the parts of a run before anything starts."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
from changing_programs import FIRST
from dm_env import specs

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import (
    Config,
    LaunchConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.errors import ConfigError
from distrl.launch import checking
from distrl.launch.checking import (
    check_parts,
    check_replay_memory,
    choose_sampling,
    count_item_bytes,
)
from distrl.learner.checkpoint import describe_run
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.types import EnvironmentSpec


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment_args": {"seed": 3}}, ["seed", "--seed"]),
        ({"agent": "dqm"}, ["agent", "'dqm'", "'dqn'"]),
        (
            {"network": NetworkConfig("example_networks:wrong_width")},
            ["returns [1, 10, 5] float32", "needs features [1, any number]"],
        ),
        (
            {"replay": ReplayConfig(frame_stack=3)},
            ["replay.frame_stack = 3", "divide the last axis", "[10, 5]", "example 5"],
        ),
        (
            {
                "replay": ReplayConfig(frame_stack=5),
                "network": NetworkConfig(last_action_reward=True),
            },
            ["replay.frame_stack = 5", "is a dict", "network.last_action_reward"],
        ),
        # The optimizer is tried on the params of the network, without such a layer.
        (
            {
                "learner": LearnerConfig(
                    optimizer="own_optimizers:only_layers",
                    optimizer_args={"layers": ["torso"]},
                )
            },
            ["only_layers' failed", "no ['torso'] in ['mlp/~/linear_0'", "'values_0']"],
        ),
        # The tests force four devices.
        ({"learner": LearnerConfig(devices=8)}, ["learner.devices = 8", "JAX shows 4"]),
        (
            {"learner": LearnerConfig(batch_size=258)},
            ["learner.batch_size = 258", "(learner.devices), 4"],
        ),
    ],
)
def test_invalid_parts_are_refused(changes, words):
    assert jax.local_device_count() == 4
    with pytest.raises(ConfigError) as caught:
        check_parts(dataclasses.replace(Config(), **changes))
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def change(tmp_path):
    """Checks the parts of a run after a change of its environment or network."""
    file = tmp_path / "said.json"
    config = Config(
        run_dir=str(tmp_path),
        environment="changing_programs:Changing",
        environment_args={"file": str(file)},
        network=NetworkConfig("changing_programs:network", {"file": str(file)}),
    )

    def check(**changes):
        file.write_text(json.dumps({**FIRST, **changes}))
        return check_parts(config)

    spec, _ = check()
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    state = init_state(agent, optimizer, jax.random.PRNGKey(0))
    write_run_spec(tmp_path, describe_run(spec, state))
    return check


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"observation": {"view": ["float32", [2, 2], 0, 1]}},
            "observation['map'] was float32 [2, 2], is now missing; observation['",
        ),
        ({"actions": 3}, "num_actions was 2, is now 3"),
        ({"hidden": 5}, "params.linear.w was float32 [5, 4], is now float32 [5, 5]"),
    ],
)
def test_changed_environment_or_network_is_refused(change, changes, words):
    with pytest.raises(ConfigError) as caught:
        change(**changes)
    assert words in str(caught.value)


def test_changed_observation_bounds_are_noted(change):
    assert change()[1] == []
    wider = {**FIRST["observation"], "speed": ["int32", [1], -9, 9]}
    (line,) = change(observation=wider)[1]
    assert "observation['speed'] was -1 to 1, is now -9 to 9" in line


GIB = 2**30
PICTURES = EnvironmentSpec(
    observation=specs.Array((720, 1280, 3), np.uint8), num_actions=2
)
PICTURE = 720 * 1280 * 3
STACKS = EnvironmentSpec(observation=specs.Array((84, 84, 4), np.uint8), num_actions=2)
FRAME = 84 * 84


SERVER = {"sampled_on": "server"}


def make_config(backend="processes", **replay):
    return Config(replay=ReplayConfig(**replay), launch=LaunchConfig(backend=backend))


@pytest.mark.parametrize(
    ("spec", "config", "size"),
    [
        # Action, reward and discount take 4 bytes each.
        (PICTURES, make_config(), 2 * PICTURE + 12),
        (STACKS, make_config(), 8 * FRAME + 12),
        # On the devices, 32 of one environment have 36 frames and room for a quarter
        # more: 1.40625 each. A row has 11 words, and each item an age.
        (STACKS, make_config(frame_stack=4), math.ceil(1.40625 * FRAME) + 11 * 4 + 4),
        # Each frame is stored once, and an item refers to eight.
        (STACKS, make_config(frame_stack=4, **SERVER), FRAME + 12 + 8 * 4),
        # 16 environments each share 5 frames twice; capacity is 100,000.
        (
            STACKS,
            make_config("serial", frame_stack=4),
            math.ceil((1.25 + 160 / 100_000) * FRAME) + 11 * 4 + 4,
        ),
        # Sequences also have a mask, and overlap by half.
        (STACKS, make_config(sequence_length=10), 44 * FRAME + 10 * 16),
        (
            STACKS,
            make_config(sequence_length=10, sequence_period=3, frame_stack=4, **SERVER),
            3 * FRAME + 10 * 16 + 44 * 4,
        ),
    ],
)
def test_item_bytes_are_counted(spec, config, size):
    assert count_item_bytes(config, spec) == size


@pytest.fixture
def check(monkeypatch):
    """Returns the note on a replay of pictures; 8 of 16 GiB are available."""
    sizes = {"available": 8 * GIB, "total": 16 * GIB}
    monkeypatch.setattr(checking, "read_memory", sizes.__getitem__)

    def call(capacity, backend="processes", **replay):
        config = make_config(backend, capacity=capacity, **replay)
        devices = jax.local_devices()[:1]
        return "".join(check_replay_memory(config, PICTURES, devices))

    return call


def test_replay_too_large_for_memory_is_noted(check):
    fitting = 8 * GIB // (2 * PICTURE + 12)
    assert check(fitting, **SERVER) == ""
    assert f"enough for a capacity of {fitting:,}" in check(fitting + 1, **SERVER)
    line = check(10_000, **SERVER)
    assert line.startswith("replay.capacity = 10000: transitions of 5,529,612 bytes")
    assert "take 51.5 GiB before compression, and 8.0 GiB of memory are" in line
    assert line.endswith("enough for a capacity of 1,553")


def test_cluster_memory_counts_one_machine_per_shard(check):
    assert check(6_000, "ray", shards=4, **SERVER) == ""
    line = check(8_000, "ray", shards=4, **SERVER)
    assert "32.0 GiB of memory are available on 4 machines" in line
    assert "enough for a capacity of 6,213" in line


@pytest.mark.parametrize(
    ("backend", "instead"),
    [("serial", "or less."), ("processes", "or less, or replay.sampled_on to server.")],
)
def test_replay_on_the_devices_beyond_total_memory_is_refused(check, backend, instead):
    assert check(2_000, backend).endswith("enough for a capacity of 1,553")
    with pytest.raises(ConfigError, match=r"take 20\.6 GiB") as caught:
        check(4_000, backend)
    assert str(caught.value).endswith(f"Set it to that {instead}")


class Accelerator:
    """A device with memory of its own."""

    def memory_stats(self):
        return {"bytes_limit": 9 * GIB, "bytes_in_use": GIB}


@pytest.mark.parametrize(
    ("devices", "capacity", "chosen", "why"),
    [
        # A quarter of 16 GiB are 776 transitions, and half of 2 * 8 GiB 1,553.
        (
            jax.local_devices()[:1],
            776,
            "learner",
            "4.00 GiB, at most 0.25 of this mach",
        ),
        (jax.local_devices()[:1], 777, "server", "4.00 GiB, more than 0.25 of this ma"),
        ([Accelerator()] * 2, 1_553, "learner", "8.00 GiB, at most 0.5 of the devices"),
        ([Accelerator()] * 2, 1_554, "server", "8.00 GiB, more than 0.5 of the device"),
    ],
)
def test_replay_is_sampled_where_it_fits(monkeypatch, devices, capacity, chosen, why):
    monkeypatch.setattr(checking, "read_memory", {"total": 16 * GIB}.__getitem__)
    config = make_config(capacity=capacity, min_size=64)
    superbatch = dataclasses.replace(config.learner, steps_per_dispatch=1)
    config = dataclasses.replace(config, learner=superbatch)
    found, line = choose_sampling(config, PICTURES, devices)
    assert found.replay.sampled_on == chosen
    assert line.startswith(f"replay.sampled_on = {chosen}: ")
    assert why in line


def test_choice_of_the_server_must_fit_its_rules(monkeypatch):
    monkeypatch.setattr(checking, "read_memory", {"total": GIB}.__getitem__)
    config = make_config(kind="prioritized", transitions_per_item=32)
    with pytest.raises(ConfigError, match="transitions_per_item = 32: it must be 1"):
        choose_sampling(config, PICTURES, jax.local_devices()[:1])
