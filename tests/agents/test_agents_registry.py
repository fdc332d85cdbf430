import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import Agent, list_agents, make_agent
from distrl.config import Config, LossConfig, config_from_dict
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)


def make_own_agent(config, spec, *, double=False):
    loss = LossConfig(double=double)
    return make_agent(Config(agent="dqn", seed=config.seed, loss=loss), spec)


def test_every_agent_has_a_one_line_description():
    assert {"dqn", "rainbow", "r2d2"} <= set(list_agents())
    for line in list_agents().values():
        assert line.endswith(".")
        assert "\n" not in line


@pytest.mark.parametrize(
    "name", [*list_agents(), "test_agents_registry:make_own_agent"]
)
def test_every_name_makes_an_agent(name):
    agent = make_agent(config_from_dict({"agent": name}), SPEC)
    assert isinstance(agent, Agent)
    params, network_state = agent.init(jax.random.PRNGKey(0))
    observation = np.zeros((4, 2), np.float32)
    carry = agent.initial_carry(4)
    q, _ = agent.q_values(
        params, network_state, jax.random.PRNGKey(1), observation, carry, "act"
    )
    assert q.shape == (4, 3)


def test_agent_args_are_passed():
    made = make_agent(Config(agent=OWN, agent_args={"double": True}), SPEC)
    assert isinstance(made, Agent)


OWN = "test_agents_registry:make_own_agent"
ARGS = {"agent_args": {"dubble": True}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"agent": "double_dqm"}, "no 'double_dqm'. Did you mean 'double_dqn'?"),
        ({"agent": "dqn", **ARGS}, "argument 'dubble'"),
        ({"agent": OWN, **ARGS}, "argument 'dubble'. Did you mean 'double'?"),
    ],
)
def test_unknown_agents_and_arguments_are_rejected(fields, words):
    with pytest.raises(ConfigError) as caught:
        make_agent(Config(**fields), SPEC)
    assert words in str(caught.value)
