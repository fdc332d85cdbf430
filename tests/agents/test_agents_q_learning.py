"""The losses of DQN and Double DQN against numbers worked out by hand.

The network is a table, the observation the number of a state, so that every Q value
is a parameter. Four transitions, numbered 0 to 3:

        s a    r  gamma s'   DQN: target max       Double: online argmax
    0   0 1  1.0  0.5   1    8    -> 1+4 = 5       1, of value 2 -> 1+1 = 2
    1   1 0 -1.0  1.0   2    3    -> -1+3 = 2      0, of value 3 -> 2
    2   2 2  0.5  0.0   0    ends -> 0.5           ends -> 0.5
    3   0 0  1.0  0.25  0    0.5  -> 1.125         2, of value 0 -> 1

Taken from q[s, a] = 2, 4, -2, 1 the TD errors are
    DQN     5-2 = 3,  2-4 = -2,  0.5+2 = 2.5,  1.125-1 = 0.125
    Double  2-2 = 0,  2-4 = -2,  0.5+2 = 2.5,  1-1 = 0
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import ActorConfig, Config, LearnerConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec(specs.DiscreteArray(3), num_actions=3)
ONLINE = {"~": {"q": jnp.array([[1.0, 2, 3], [4, 6, 5], [0, -1, -2]])}}
TARGET = {"~": {"q": jnp.array([[0.5, 0, 0], [1, 2, 8], [3, -4, 2]])}}
TRANSITION = Transition(
    observation_tm1=np.array([0, 1, 2, 0], np.int32),
    action_tm1=np.array([1, 0, 2, 0], np.int32),
    reward_t=np.array([1.0, -1.0, 0.5, 1.0], np.float32),
    discount_t=np.array([0.5, 1.0, 0.0, 0.25], np.float32),
    observation_t=np.array([1, 2, 0, 0], np.int32),
)
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.0], np.float32)
TD = {"dqn": [3.0, -2.0, 2.5, 0.125], "double_dqn": [0.0, -2.0, 2.5, 0.0]}
KEY = jax.random.PRNGKey(0)

# Huber of 1 is |td| - 0.5 beyond 1, the squared loss td^2 / 2; then weighted sums:
#   DQN     Huber 2.5, 1.5, 2, 0.0078125; 2.5 + 0.75 + 4 + 0.0078125 = 7.2578125
#           squared 4.5, 2, 3.125, 0.0078125; 4.5 + 1 + 6.25 + 0.0078125 = 11.7578125
#   Double  Huber 0, 1.5, 2, 0; 0.75 + 4 = 4.75
#           squared 0, 2, 3.125, 0; 1 + 6.25 = 7.25
# Huber of 2 is 2 (|td| - 1) beyond 2; DQN: 4, 2, 3, 0.0078125; 4 + 1 + 6 + 0.0078125.
# The loss is the mean of the four.
LOSSES = [
    ("dqn", 1.0, 7.2578125 / 4),
    ("dqn", 2.0, 11.0078125 / 4),
    ("dqn", None, 11.7578125 / 4),
    ("double_dqn", 1.0, 4.75 / 4),
    ("double_dqn", None, 7.25 / 4),
]

# The gradient at q[s, a] is -weight * td / 4, for Huber with td cut to [-1, 1];
# q[0, 1] is transition 0, q[1, 0] is 1, q[2, 2] is 2 and q[0, 0] is 3.
GRADIENTS = [
    ("dqn", 1.0, [-0.25, 0.125, -0.5, -0.03125]),
    ("dqn", None, [-0.75, 0.25, -1.25, -0.03125]),
    ("double_dqn", 1.0, [0.0, 0.125, -0.5, 0.0]),
    ("double_dqn", None, [0.0, 0.25, -1.25, 0.0]),
]


def make_tabular(name, huber_delta=1.0, discount=0.99):
    config = Config(
        agent=name,
        actor=ActorConfig(discount=discount),
        network=NetworkConfig("example_networks:tabular", {"states": 3}),
        learner=LearnerConfig(huber_delta=huber_delta),
    )
    return make_agent(config, SPEC)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
@pytest.mark.parametrize(("name", "huber_delta", "expected"), LOSSES)
def test_loss_by_hand(name, huber_delta, expected, variant):
    loss = variant(make_tabular(name, huber_delta).loss)
    value, output = loss(ONLINE, TARGET, {}, KEY, TRANSITION, WEIGHTS)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(output.priorities, np.abs(TD[name]), rtol=1e-6)
    assert output.network_state == {}


@pytest.mark.parametrize(("name", "huber_delta", "expected"), LOSSES)
def test_loss_under_vmap(name, huber_delta, expected):
    """Of two superposed batches, one with weights twice as large."""
    loss = make_tabular(name, huber_delta).loss
    transition = jax.tree.map(lambda x: np.stack([x, x]), TRANSITION)
    weights = np.stack([WEIGHTS, 2 * WEIGHTS])
    values, output = jax.vmap(
        lambda transition, weights: loss(ONLINE, TARGET, {}, KEY, transition, weights)
    )(transition, weights)
    np.testing.assert_allclose(values, [expected, 2 * expected], rtol=1e-6)
    np.testing.assert_allclose(output.priorities, [np.abs(TD[name])] * 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["dqn", "double_dqn"])
def test_metrics_by_hand(name):
    loss = make_tabular(name).loss
    value, output = loss(ONLINE, TARGET, {}, KEY, TRANSITION, WEIGHTS)
    rows = [0, 1, 2, 0]  # The states of observation_tm1: sums 6, 15, -3, 6; max 6.
    assert np.asarray(ONLINE["~"]["q"])[rows].sum() == 24.0
    expected = {
        "loss": value,
        "mean_abs_td": np.abs(TD[name]).mean(),
        "mean_q": 24.0 / 12,
        "max_q": 6.0,
    }
    assert output.metrics.keys() == expected.keys()
    for metric, number in expected.items():
        np.testing.assert_allclose(output.metrics[metric], number, rtol=1e-6)


@pytest.mark.parametrize(("name", "huber_delta", "expected"), GRADIENTS)
def test_gradient_by_hand_and_none_into_targets(name, huber_delta, expected):
    loss = make_tabular(name, huber_delta).loss

    def value(params, target_params):
        return loss(params, target_params, {}, KEY, TRANSITION, WEIGHTS)[0]

    online, target = jax.grad(value, argnums=(0, 1))(ONLINE, TARGET)
    table = np.zeros((3, 3), np.float32)
    table[[0, 1, 2, 0], [1, 0, 2, 0]] = expected
    np.testing.assert_allclose(online["~"]["q"], table, rtol=1e-6)
    np.testing.assert_array_equal(target["~"]["q"], np.zeros((3, 3)))


@pytest.mark.parametrize("name", ["dqn", "double_dqn"])
def test_no_gradient_into_targets_that_are_the_network_itself(name):
    loss = make_tabular(name, None).loss

    def value(params):
        return loss(params, params, {}, KEY, TRANSITION, WEIGHTS)[0]

    # Targets from ONLINE: 1+6/2 = 4, -1+0 = -1, 0.5, 1+3/4 = 1.75; the TD errors are
    # 2, -5, 2.5, 0.75, and -weight * td / 4 are -0.5, 0.625, -1.25, -0.1875.
    table = np.zeros((3, 3), np.float32)
    table[[0, 1, 2, 0], [1, 0, 2, 0]] = [-0.5, 0.625, -1.25, -0.1875]
    np.testing.assert_allclose(jax.grad(value)(ONLINE)["~"]["q"], table, rtol=1e-6)


def test_the_discount_is_used_as_it_comes():
    values = [
        make_tabular("dqn", discount=discount).loss(
            ONLINE, TARGET, {}, KEY, TRANSITION, WEIGHTS
        )[0]
        for discount in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_array_equal(values, [values[0]] * 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action_tm1": TRANSITION.action_tm1.astype(np.float32)},
        {"reward_t": TRANSITION.reward_t[:, None]},
        {"discount_t": TRANSITION.discount_t[:2]},
        {"observation_t": TRANSITION.observation_t[:2]},
    ],
)
def test_wrong_shapes_and_types_are_refused(wrong):
    loss = make_tabular("dqn").loss
    with pytest.raises(AssertionError):
        loss(ONLINE, TARGET, {}, KEY, TRANSITION._replace(**wrong), WEIGHTS)


def test_a_network_with_state_learns_with_the_batch_and_acts_with_averages():
    spec = EnvironmentSpec(specs.Array((1,), np.float32), num_actions=2)
    network = NetworkConfig("example_networks:batch_norm", {"decay": 0.5})
    agent = make_agent(Config(agent="double_dqn", network=network), spec)
    params, network_state = agent.init(KEY)
    params = jax.tree.map(jnp.ones_like, params)

    def make_transition(observation_tm1, observation_t):
        return Transition(
            observation_tm1=np.array(observation_tm1, np.float32)[:, None],
            action_tm1=np.zeros(2, np.int32),
            reward_t=np.zeros(2, np.float32),
            discount_t=np.ones(2, np.float32),
            observation_t=np.array(observation_t, np.float32)[:, None],
        )

    # The first batch has mean 2 and variance 1: normalised -1 and 1, and with ones
    # for weight and bias q = 0 and 2. The averages are then 2 and 1, also for the
    # targets: (2-2)/1 + 1 = 1 and (3-2)/1 + 1 = 2; the TD errors are 1 and 0.
    ones = np.ones(2, np.float32)
    transition = make_transition([1, 3], [2, 3])
    _, output = agent.loss(params, params, network_state, KEY, transition, ones)
    np.testing.assert_allclose(output.metrics["max_q"], 2.0, atol=1e-4)
    np.testing.assert_allclose(output.priorities, [1.0, 0.0], atol=1e-4)

    # The second has mean 6 and variance 4. With decay 0.5 the sums are
    # 0.5 * (0.5 * 2) + 0.5 * 6 = 3.5 and 0.25 + 2 = 2.25; divided by 1 - 0.5^2 = 0.75
    # the averages are 14/3 and 3. Evaluation: (x - 14/3) / sqrt(3) + 1.
    transition = make_transition([4, 8], [2, 3])
    _, output = agent.loss(params, params, output.network_state, KEY, transition, ones)
    observation = np.array([[1.0], [10.0]], np.float32)
    q = agent.q_values(params, output.network_state, KEY, observation)
    expected = (observation - 14 / 3) / np.sqrt(3) + 1
    np.testing.assert_allclose(q, np.repeat(expected, 2, axis=1), rtol=1e-4)
