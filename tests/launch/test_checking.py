"""The parts of a run are built once before anything starts."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from changing_programs import FIRST

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import Config, LearnerConfig, NetworkConfig, ReplayConfig
from distrl.errors import ConfigError
from distrl.launch.checking import check_parts
from distrl.learner.checkpoint import describe_run
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state


def test_it_returns_the_spec_of_the_environment():
    spec, _ = check_parts(Config(environment="bsuite:catch/0"))
    assert spec.num_actions == 3
    assert spec.observation.shape == (10, 5)
    assert spec.observation.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment_args": {"seed": 3}}, ["seed", "--seed"]),
        ({"agent": "dqm"}, ["agent", "'dqm'", "'dqn'"]),
        (
            {"network": NetworkConfig("example_networks:wrong_width")},
            ["returns [4, 10, 5] float32", "needs features [4, any number]"],
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
        # Tried out on the parameters of the network, which has no such layer.
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
            ["learner.batch_size = 258", "multiple of 4"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    assert jax.local_device_count() == 4
    with pytest.raises(ConfigError) as caught:
        check_parts(dataclasses.replace(Config(), **changes))
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def change(tmp_path):
    """Checks a run's parts after the environment or the network was changed."""
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
        # The network would fail for want of the part that it reads.
        (
            {"observation": {"view": ["float32", [2, 2], 0, 1]}},
            "observation['map'] was float32 [2, 2], is now missing; observation['",
        ),
        ({"actions": 3}, "num_actions was 2, is now 3"),
        ({"hidden": 5}, "params.linear.w was float32 [5, 4], is now float32 [5, 5]"),
    ],
)
def test_changed_run_is_refused(change, changes, words):
    with pytest.raises(ConfigError) as caught:
        change(**changes)
    assert words in str(caught.value)


def test_changed_bounds_are_noted_and_nothing_else(change):
    assert change()[1] == []
    wider = {**FIRST["observation"], "speed": ["int32", [1], -9, 9]}
    (line,) = change(observation=wider)[1]
    assert "observation['speed'] was -1 to 1, is now -9 to 9" in line
