import functools

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import Agent, list_agents, make_agent
from distrl.config import Config, NetworkConfig
from distrl.config.reading import config_from_dict
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

KEY = jax.random.PRNGKey(0)
SPEC = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)


def make_own_agent(config, spec):
    return make_agent(Config(agent="dqn", seed=config.seed), spec)


def test_names_have_a_line_of_description():
    assert list(list_agents()) == [
        "apex",
        "c51",
        "double_dqn",
        "dqn",
        "dueling_dqn",
        "iqn",
        "munchausen_dqn",
        "noisy_dqn",
        "prioritized_dqn",
        "qr_dqn",
        "r2d2",
        "rainbow",
    ]
    for line in list_agents().values():
        assert line.endswith(".")
        assert "\n" not in line


@pytest.mark.parametrize(
    "name", [*list_agents(), "test_agents_registry:make_own_agent"]
)
def test_every_name_makes_an_agent(name):
    agent = make_agent(config_from_dict({"agent": name}), SPEC)
    assert isinstance(agent, Agent)
    params, network_state = jax.eval_shape(agent.init, KEY)
    observation = np.zeros((4, 2), np.float32)
    q, _ = jax.eval_shape(
        functools.partial(agent.q_values, mode="act"),
        *(params, network_state, KEY, observation, agent.initial_carry(4)),
    )
    assert q.shape == (4, 3)


def test_an_unknown_name_gets_the_nearest_spelling():
    with pytest.raises(ConfigError) as caught:
        make_agent(Config(agent="double_dqm"), SPEC)
    assert "agent: there is no 'double_dqm'. Did you mean 'double_dqn'?" in str(
        caught.value
    )


def test_an_unknown_network_is_told():
    with pytest.raises(ConfigError, match="network.factory"):
        make_agent(Config(network=NetworkConfig("cnv")), SPEC)
