"""What a run is made of is built once before anything starts."""

import dataclasses

import jax
import numpy as np
import pytest

from distrl.config import Config, LearnerConfig, NetworkConfig, ReplayConfig
from distrl.errors import ConfigError
from distrl.launch.checking import check_parts


def test_it_returns_the_spec_of_the_environment():
    spec, _ = check_parts(Config(environment="bsuite:catch/0"))
    assert spec.num_actions == 3
    assert spec.observation.shape == (10, 5)
    assert spec.observation.dtype == np.float32
    spec, _ = check_parts(Config(environment="gym:CartPole-v1"))
    assert (spec.num_actions, spec.observation.shape) == (2, (4,))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": "bsuite:cacth/0"}, ["bsuite:cacth/0", "'catch'"]),
        ({"environment_args": {"seed": 3}}, ["seed", "--seed"]),
        ({"agent": "dqm"}, ["agent", "'dqm'", "'dqn'"]),
        ({"network": NetworkConfig("mpl")}, ["network.factory", "'mlp'"]),
        ({"network": NetworkConfig("mlp", {"hiden": []})}, ["network.args", "'hiden'"]),
        (
            {"network": NetworkConfig("example_networks:wrong_width")},
            ["gives [4, 10, 5] float32", "needed are features [4, any number]"],
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
        (
            {"learner": LearnerConfig(optimizer="own_optimizers:nothing")},
            ["learner.optimizer: 'own_optimizers:nothing'", "it returned a NoneType"],
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
