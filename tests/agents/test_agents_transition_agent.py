"""The code that all agents on transitions share, with simple losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from loss_families import make_table, make_transition

from distrl.agents import make_agent
from distrl.agents.transition_agent import ItemLoss, make_transition_agent
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.DiscreteArray(3), num_actions=2)
TABULAR = NetworkConfig("example_networks:tabular", {"states": 3}, head="none")
ONLINE = make_table([[1, 2], [3, 4], [5, 6]])
TARGET = make_table([[10, 20], [30, 40], [50, 60]])
TRANSITION = make_transition([0, 1], [1, 0], [0.5, -1.0], [0.9, 0.0], [1, 2])
WEIGHTS = np.array([1.0, 0.5], np.float32)
KEYS = jax.random.split(jax.random.PRNGKey(0), 2)


def make_probe(learn, is_double=False, network=TABULAR, **loss):
    config = Config(network=network, loss=LossConfig(**loss))
    return make_transition_agent(config, SPEC, learn, is_double=is_double)


@pytest.mark.parametrize(
    ("field", "is_double", "expected"),
    [
        ("values_tm1", False, [2.0, 3.0]),
        ("target_values_tm1", False, [20.0, 30.0]),
        ("target_values_t", False, [40.0, 50.0]),
        ("q_selector_t", False, [40.0, 50.0]),
        ("q_selector_t", True, [4.0, 5.0]),
    ],
)
def test_estimates_are_of_the_right_network_and_observation(field, is_double, expected):
    def learn(estimates, a_tm1, r_t, discount_t):
        value = getattr(estimates, field)[a_tm1]
        return ItemLoss(value + r_t + discount_t, -value)

    loss = make_probe(learn, is_double).loss
    value, output = loss(ONLINE, TARGET, {}, KEYS, TRANSITION, WEIGHTS)
    np.testing.assert_array_equal(output.priorities, expected)
    # Plus reward and discount: 1.4 for the first, -1 for the second.
    by_hand = (1.0 * (expected[0] + 1.4) + 0.5 * (expected[1] - 1)) / 2
    np.testing.assert_allclose(value, by_hand, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["mean_abs_td"], np.mean(expected))
    # Over the states 0 and 1.
    np.testing.assert_allclose(output.metrics["mean_q"], 2.5)
    np.testing.assert_allclose(output.metrics["max_q"], 4.0)


def test_gradient_flows_only_through_learned_values():
    def learn(estimates, a_tm1, r_t, discount_t):
        values = [x[a_tm1] for x in estimates if x is not None]
        return ItemLoss(sum(values), values[0])

    loss = make_probe(learn, is_double=True).loss

    def value(params):
        return loss(params, params, {}, KEYS, TRANSITION, WEIGHTS)[0]

    # 1 * weight / 2 at q[0, 1] and q[1, 0].
    expected = [[0, 0.5], [0.25, 0], [0, 0]]
    np.testing.assert_array_equal(jax.grad(value)(ONLINE)["~"]["q"], expected)


def test_loss_can_set_its_own_priorities():
    def learn(estimates, a_tm1, r_t, discount_t):
        return ItemLoss(r_t, r_t, priority=discount_t + 1)

    loss = make_probe(learn).loss
    _, output = loss(ONLINE, TARGET, {}, KEYS, TRANSITION, WEIGHTS)
    np.testing.assert_allclose(output.priorities, [1.9, 1.0], rtol=1e-6)
    np.testing.assert_allclose(output.metrics["mean_abs_td"], 0.75)


def test_loss_without_selection_rejects_double():
    def learn(estimates, a_tm1, r_t, discount_t):
        return ItemLoss(r_t, r_t)

    assert make_probe(learn, is_double=None)
    with pytest.raises(ConfigError, match="loss.double"):
        make_probe(learn, is_double=None, double=False)


def test_noise_differs_for_each_network():
    # All three networks have the same params, and all observations are equal.
    def learn(estimates, a_tm1, r_t, discount_t):
        del a_tm1, r_t, discount_t
        values = estimates.values_tm1[0], estimates.target_values_t[0]
        return ItemLoss(values[0], values[1] - values[0], estimates.q_selector_t[0])

    network = NetworkConfig("mlp", {"hidden_sizes": []}, noisy=True)
    agent = make_probe(learn, is_double=True, network=network)
    params, state = agent.init(KEYS[0])
    same = TRANSITION._replace(observation_tm1=TRANSITION.observation_t)
    value, output = agent.loss(params, params, state, KEYS, same, np.ones(2))
    values_tm1 = float(value)
    assert (output.priorities != 0).all()
    assert output.metrics["mean_abs_td"] > 1e-3
    assert abs(values_tm1 - np.mean(output.priorities)) > 1e-3


def test_batch_norm_learns_with_batch_and_acts_with_averages():
    spec = EnvironmentSpec(specs.Array((1,), np.float32), num_actions=2)
    network = NetworkConfig("example_networks:batch_norm", {"decay": 0.5}, head="none")
    agent = make_agent(Config(agent="double_dqn", network=network), spec)
    params, network_state = agent.init(KEYS[0])
    params = jax.tree.map(jnp.ones_like, params)

    # The first batch has mean 2 and variance 1: normalized -1 and 1, and with ones
    # for weight and bias q = 0 and 2. The averages are then 2 and 1, also for the
    # targets: (2-2)/1 + 1 = 1 and (3-2)/1 + 1 = 2; the TD errors are 1 and 0.
    def normalize(observation_tm1, state):
        batch = make_transition(
            np.float32(observation_tm1)[:, None],
            [0, 0],
            [0.0, 0.0],
            [1.0, 1.0],
            [[2.0], [3.0]],
        )
        return agent.loss(params, params, state, KEYS, batch, np.ones(2, np.float32))[1]

    output = normalize([1, 3], network_state)
    np.testing.assert_allclose(output.metrics["max_q"], 2.0, atol=1e-4)
    np.testing.assert_allclose(output.priorities, [1.0, 0.0], atol=1e-4)

    # The second has mean 6 and variance 4. With decay 0.5 the sums are
    # 0.5 * (0.5 * 2) + 0.5 * 6 = 3.5 and 0.25 + 2 = 2.25; divided by 1 - 0.5^2 = 0.75
    # the averages are 14/3 and 3. Evaluation: (x - 14/3) / sqrt(3) + 1.
    output = normalize([4, 8], output.network_state)
    observation = np.array([[1.0], [10.0]], np.float32)
    expected = (observation - 14 / 3) / np.sqrt(3) + 1
    for mode in ("act", "evaluate"):
        q, _ = agent.q_values(
            params, output.network_state, KEYS[0], observation, (), mode
        )
        np.testing.assert_allclose(q, np.repeat(expected, 2, axis=1), rtol=1e-4)
