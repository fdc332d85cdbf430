"""What every agent promises: pure functions of these shapes, jitted or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import list_agents, make_agent
from distrl.agents.agent import Agent, LossOutput
from distrl.config import Config, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec({"x": specs.Array((5,), np.float32)}, num_actions=3)
BATCH = 4


def make_batch():
    rng = np.random.default_rng(0)
    observation = {"x": rng.normal(size=(BATCH, 5)).astype(np.float32)}
    return Transition(
        observation_tm1=observation,
        action_tm1=np.array([0, 1, 2, 0], np.int32),
        reward_t=rng.normal(size=BATCH).astype(np.float32),
        discount_t=np.array([0.9, 0.9, 0.0, 0.9], np.float32),
        observation_t=observation,
    )


@pytest.mark.parametrize("name", list_agents())
@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_an_agent_is_four_pure_functions_of_the_promised_shapes(name, variant):
    network = NetworkConfig("mlp", {"hidden_sizes": [32]})
    agent = make_agent(Config(agent=name, network=network), SPEC)
    assert isinstance(agent, Agent)
    key = jax.random.PRNGKey(0)
    params, state = variant(agent.init)(key)
    batch = make_batch()
    weights = jnp.ones(BATCH)

    q = variant(agent.q_values)(params, state, key, batch.observation_tm1)
    assert (q.shape, q.dtype) == ((BATCH, 3), jnp.float32)

    epsilon = jnp.zeros(BATCH)
    action = variant(agent.act)(params, state, key, batch.observation_tm1, epsilon)
    assert (action.shape, action.dtype) == ((BATCH,), jnp.int32)
    np.testing.assert_array_equal(action, np.argmax(q, axis=1))

    loss = variant(agent.loss)
    value, output = loss(params, params, state, key, batch, weights)
    assert isinstance(output, LossOutput)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert (output.priorities.shape, output.priorities.dtype) == ((BATCH,), jnp.float32)
    assert (output.priorities >= 0).all()
    for metric in output.metrics.values():
        assert (metric.shape, metric.dtype) == ((), jnp.float32)
    assert jax.tree.structure(output.network_state) == jax.tree.structure(state)
    # Pure: the same arguments give the same answer.
    again, _ = loss(params, params, state, key, batch, weights)
    assert again == value


@pytest.mark.parametrize("name", list_agents())
def test_no_gradient_flows_into_the_target(name):
    agent = make_agent(Config(agent=name), SPEC)
    key = jax.random.PRNGKey(0)
    params, state = agent.init(key)
    gradient, _ = jax.grad(agent.loss, argnums=(0, 1), has_aux=True)(
        params, params, state, key, make_batch(), jnp.ones(BATCH)
    )
    online, target = gradient
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(online))
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(target))
