"""IQN with a tabular torso, whose values show the drawn quantiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from loss_families import FAMILIES, to_arrays

from distrl.agents import make_agent
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

# The torso is a table: the features of a state are one number per action. The head
# returns their products with the embedding of a quantile.
SPEC = EnvironmentSpec(specs.DiscreteArray(2), num_actions=2)
KEYS = jax.random.split(jax.random.PRNGKey(0), 2)
ONLINE = [[1.0, 4.0], [0.0, 1.0]]
TARGET = [[7.0, 7.0], [3.0, 2.0]]
TRANSITION = Transition(*to_arrays([0, 0], [0, 0], [1.0, 0.5], [0.5, 0.0], [1, 1]))
MANY = 4000


def make_tabular(**loss):
    config = Config(
        agent=FAMILIES["iqn"],
        network=NetworkConfig("example_networks:tabular", {"states": 2}),
        loss=LossConfig(**loss),
    )
    return make_agent(config, SPEC)


def make_params(table, slope=0.0):
    """Returns params with the values table * (1 + slope * cos(pi * tau))."""
    return {
        "~": {"q": jnp.array(table)},
        "quantile_embedding": {
            "w": jnp.zeros((64, 2)).at[1].set(slope),
            "b": jnp.ones(2),
        },
        "values_0": {"w": jnp.eye(2), "b": jnp.zeros(2)},
    }


# Without a slope all quantiles are equal, and so is u = target - value in all
# pairs: 1 + 0.5 * 3 - 1 = 1.5 and 0.5 - 1 = -0.5; in double learning the online
# network selects action 1: 1 + 0.5 * 2 - 1 = 1. The loss is the sum over N quantiles
# of tau L(u) / delta, or of (1 - tau) L(u) / delta where u < 0; tau is 1/2 on
# average. L(u) / delta, by hand:
#   delta None          1.5, 0.5
#   delta 1             1, 0.125
#   delta 2 and double  1^2 / 2 / 2 = 0.25, 0.125 / 2 = 0.0625
LOSSES = [
    (None, None, [1.5, 0.5]),
    (1.0, None, [1.0, 0.125]),
    (2.0, True, [0.25, 0.0625]),
]


@pytest.mark.parametrize(("huber_delta", "is_double", "expected"), LOSSES)
def test_loss_matches_hand_calculation(huber_delta, is_double, expected):
    agent = make_tabular(huber_delta=huber_delta, double=is_double, tau_samples=MANY)
    params = make_params(ONLINE), make_params(TARGET)
    weights = np.array([1.0, 0.5], np.float32)
    value, output = jax.jit(agent.loss)(*params, {}, KEYS, TRANSITION, weights)
    loss = np.mean(weights * 0.5 * np.array(expected) * MANY)
    # The mean of 4000 draws strays by 1 / sqrt(12 * 4000) = 0.005 from 0.5.
    np.testing.assert_allclose(value, loss, rtol=0.03)
    td_errors = [1.0 if is_double else 1.5, 0.5]
    np.testing.assert_allclose(output.priorities, td_errors, rtol=1e-5)
    metrics = {"loss": value, "mean_q": 2.5, "max_q": 4.0}
    metrics["mean_abs_td"] = np.mean(td_errors)
    assert output.metrics.keys() == metrics.keys()
    for metric, number in metrics.items():
        np.testing.assert_allclose(output.metrics[metric], number, rtol=1e-5)


def test_quantiles_are_drawn_per_item_and_use():
    agent = make_tabular(tau_samples=2, target_tau_samples=2, policy_tau_samples=1)
    twice = jax.tree.map(lambda x: x[[0, 0]], TRANSITION)
    # Values are learned from and bootstrapped from the same state.
    twice = twice._replace(
        observation_t=twice.observation_tm1,
        reward_t=np.zeros(2, np.float32),
        discount_t=np.ones(2, np.float32),
    )
    params = make_params([[1.0, 0.0]] * 2, slope=0.5)
    loss = jax.jit(agent.loss)
    _, output = loss(params, params, {}, KEYS, twice, np.ones(2, np.float32))
    # With the same quantiles on both sides the TD error of means would be 0.
    assert (output.priorities > 1e-4).all()
    assert output.priorities[0] != output.priorities[1]
    again = agent.loss(params, params, {}, KEYS[::-1], twice, np.ones(2, np.float32))[1]
    np.testing.assert_allclose(again.priorities, output.priorities[::-1], rtol=1e-5)


@pytest.mark.parametrize("mode", ["act", "evaluate"])
def test_q_values_are_means_over_drawn_quantiles(mode):
    # cos(pi tau) is 0 on average: the mean of all quantiles is the table's number.
    params = make_params(TARGET, slope=1.0)
    states = np.array([0, 1], np.int32)
    many = make_tabular(policy_tau_samples=MANY)
    q, carry = many.q_values(params, {}, KEYS[0], states, (), mode)
    np.testing.assert_allclose(q, TARGET, rtol=0.05)
    assert carry == ()
    # One quantile differs by observation and by key.
    one = make_tabular(policy_tau_samples=1)
    same = np.array([1, 1], np.int32)
    first, second = one.q_values(params, {}, KEYS[0], same, (), mode)[0]
    assert (first != second).all()
    other = one.q_values(params, {}, KEYS[1], same, (), mode)[0][0]
    assert (first != other).all()
