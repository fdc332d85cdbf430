import jax
import numpy as np
import optax
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import Config, NetworkConfig
from distrl.learner.state import init_state
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)


def make_state(seed=0, network="mlp"):
    agent = make_agent(Config(network=NetworkConfig(network)), SPEC)
    return init_state(agent, optax.adam(1e-3), jax.random.PRNGKey(seed))


def test_the_target_starts_as_a_copy():
    state = make_state()
    jax.tree.map(np.testing.assert_array_equal, state.params, state.target_params)
    assert any(leaf.any() for leaf in jax.tree.leaves(state.params))
    assert state.learner_steps == 0
    assert state.learner_steps.dtype == np.int32
    assert (state.key.shape, state.key.dtype) == ((2,), np.uint32)


def test_the_seed_decides_parameters_and_key():
    state, same, other = make_state(1), make_state(1), make_state(2)
    jax.tree.map(np.testing.assert_array_equal, state, same)
    assert (state.key != other.key).any()
    weights = [jax.tree.leaves(s.params)[1] for s in (state, other)]
    assert (weights[0] != weights[1]).any()
