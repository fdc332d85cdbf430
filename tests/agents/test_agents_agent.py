"""Requirements of every agent: output shapes, pure functions and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from loss_families import FAMILIES

from distrl.agents import make_agent
from distrl.agents.agent import Agent, LossOutput
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec({"x": specs.Array((5,), np.float32)}, num_actions=3)
BATCH = 4
KEY = jax.random.PRNGKey(0)
KEYS = jax.random.split(KEY, BATCH)
WEIGHTS = np.ones(BATCH, np.float32)


def make_batch():
    rng = np.random.default_rng(0)

    def observe():
        return {"x": rng.normal(size=(BATCH, 5)).astype(np.float32)}

    return Transition(
        observation_tm1=observe(),
        action_tm1=np.array([0, 1, 2, 0], np.int32),
        reward_t=rng.normal(size=BATCH).astype(np.float32),
        discount_t=np.array([0.9, 0.9, 0.0, 0.9], np.float32),
        observation_t=observe(),
    )


@pytest.fixture(scope="module", params=FAMILIES)
def agent(request):
    config = Config(
        agent=FAMILIES[request.param],
        network=NetworkConfig("mlp", {"hidden_sizes": [8]}),
        loss=LossConfig(num_atoms=5, num_quantiles=4, tau_samples=3),
    )
    return make_agent(config, SPEC)


@pytest.fixture(scope="module")
def variables(agent):
    return jax.jit(agent.init)(KEY)


@pytest.fixture(scope="module")
def loss(agent):
    return jax.jit(agent.loss)


def test_loss_output_has_expected_shapes_and_is_deterministic(agent, loss, variables):
    params, state = variables
    args = (params, params, state, KEYS, make_batch(), WEIGHTS)
    value, output = loss(*args)
    assert isinstance(output, LossOutput)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert (output.priorities.shape, output.priorities.dtype) == ((BATCH,), jnp.float32)
    assert (output.priorities >= 0).all()
    assert output.metrics.keys() == {"loss", "mean_abs_td", "mean_q", "max_q"}
    for metric in output.metrics.values():
        assert (metric.shape, metric.dtype) == ((), jnp.float32)
    assert jax.tree.structure(output.network_state) == jax.tree.structure(state)
    again, _ = loss(*args)
    assert again == value


@pytest.mark.parametrize("mode", ["act", "evaluate"])
def test_q_values_have_expected_shape_and_are_deterministic(agent, variables, mode):
    assert isinstance(agent, Agent)
    q_values = jax.jit(agent.q_values, static_argnums=5)
    carry = agent.initial_carry(BATCH)
    observation = make_batch().observation_tm1
    q, next_carry = q_values(*variables, KEY, observation, carry, mode)
    assert (q.shape, q.dtype) == ((BATCH, 3), jnp.float32)
    assert jax.tree.structure(next_carry) == jax.tree.structure(carry)
    again, _ = q_values(*variables, KEY, observation, carry, mode)
    np.testing.assert_array_equal(q, again)


def test_no_gradient_flows_into_targets(agent, variables):
    params, state = variables
    batch = make_batch()

    def value(params, target_params):
        return agent.loss(params, target_params, state, KEYS, batch, WEIGHTS)[0]

    online, target = jax.jit(jax.grad(value, argnums=(0, 1)))(params, params)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(online))
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(target))


def test_weights_scale_the_loss_but_not_the_priorities(loss, variables):
    params, state = variables

    def take(*weights):
        weights = np.array(weights, np.float32)
        return loss(params, params, state, KEYS, make_batch(), weights)

    whole, output = take(1, 1, 1, 1)
    # The whole loss is the sum of the losses of the four items.
    parts = [take(*row)[0] for row in np.eye(4)]
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-5)
    value, weighted = take(0.5, 0, 2, 1)
    expected = 0.5 * parts[0] + 2 * parts[2] + parts[3]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(weighted.priorities, output.priorities)
