"""The losses of DQN and Double DQN against values computed by hand."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_families import FAMILIES, MAPPINGS, floats, to_arrays

from distrl.agents import make_agent
from distrl.agents.q_learning import q_learning_td_error
from distrl.config import ActorConfig, Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

# The network is a table and the observation the number of a state, so that every Q
# value is a parameter. Four transitions, numbered 0 to 3:
#
#         s a    r  gamma s'   DQN: target max       Double: online argmax
#     0   0 1  1.0  0.5   1    8    -> 1+4 = 5       1, of value 2 -> 1+1 = 2
#     1   1 0 -1.0  1.0   2    3    -> -1+3 = 2      0, of value 3 -> 2
#     2   2 2  0.5  0.0   0    ends -> 0.5           ends -> 0.5
#     3   0 0  1.0  0.25  0    0.5  -> 1.125         2, of value 0 -> 1
#
# With q[s, a] = 2, 4, -2, 1 the TD errors are
#     DQN     5-2 = 3,  2-4 = -2,  0.5+2 = 2.5,  1.125-1 = 0.125
#     Double  2-2 = 0,  2-4 = -2,  0.5+2 = 2.5,  1-1 = 0
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
KEYS = jax.random.split(jax.random.PRNGKey(0), 4)

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


def make_tabular(name, huber_delta=1.0, discount=0.99, **loss):
    config = Config(
        agent=FAMILIES[name],
        actor=ActorConfig(discount=discount),
        network=NetworkConfig("example_networks:tabular", {"states": 3}, head="none"),
        loss=LossConfig(huber_delta=huber_delta, **loss),
    )
    return make_agent(config, SPEC)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
@pytest.mark.parametrize(("name", "huber_delta", "expected"), LOSSES)
def test_loss_matches_hand_calculation(name, huber_delta, expected, variant):
    loss = variant(make_tabular(name, huber_delta).loss)
    value, output = loss(ONLINE, TARGET, {}, KEYS, TRANSITION, WEIGHTS)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(output.priorities, np.abs(TD[name]), rtol=1e-6)
    assert output.network_state == {}


@pytest.mark.parametrize(("name", "huber_delta", "expected"), GRADIENTS)
def test_gradient_matches_hand_calculation(name, huber_delta, expected):
    loss = make_tabular(name, huber_delta).loss

    def value(params, target_params):
        return loss(params, target_params, {}, KEYS, TRANSITION, WEIGHTS)[0]

    online, target = jax.grad(value, argnums=(0, 1))(ONLINE, TARGET)
    table = np.zeros((3, 3), np.float32)
    table[[0, 1, 2, 0], [1, 0, 2, 0]] = expected
    np.testing.assert_allclose(online["~"]["q"], table, rtol=1e-6)
    np.testing.assert_array_equal(target["~"]["q"], np.zeros((3, 3)))


def test_loss_uses_discount_of_item_not_of_config():
    values = [
        make_tabular("dqn", discount=discount).loss(
            ONLINE, TARGET, {}, KEYS, TRANSITION, WEIGHTS
        )[0]
        for discount in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_array_equal(values, [values[0]] * 3)


@pytest.mark.parametrize("name", ["dqn", "double_dqn"])
@pytest.mark.parametrize("is_double", [False, True])
def test_loss_double_overrides_the_default_of_the_agent(name, is_double):
    loss = make_tabular(name, double=is_double).loss
    _, output = loss(ONLINE, TARGET, {}, KEYS, TRANSITION, WEIGHTS)
    expected = TD["double_dqn" if is_double else "dqn"]
    np.testing.assert_allclose(output.priorities, np.abs(expected), rtol=1e-6)


def test_td_error_gradient_is_clipped():
    loss = make_tabular("dqn", None, max_abs_td_gradient=2.0).loss

    def value(params):
        return loss(params, TARGET, {}, KEYS, TRANSITION, WEIGHTS)[0]

    # The loss is the squared one, 11.7578125 / 4 as above; its gradients are
    # -weight * td / 4 of the TD errors 3, -2, 2.5, 0.125 cut to [-2, 2].
    np.testing.assert_allclose(value(ONLINE), 11.7578125 / 4, rtol=1e-6)
    table = np.zeros((3, 3), np.float32)
    table[[0, 1, 2, 0], [1, 0, 2, 0]] = [-0.5, 0.25, -1.0, -0.03125]
    np.testing.assert_allclose(jax.grad(value)(ONLINE)["~"]["q"], table, rtol=1e-6)


# h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x. Of three actions with values
# h(8) = 2 + 0.008 = 2.008, h(3) = 1.003 and h(-8) = -2.008, where rewards are 7, -5
# and 0, discounts 1, 1 and 0.5, the targets are
#   h(7 + 8) = 3 + 0.015 = 3.015; h(-5 + 8) = 1.003; h(0 + 0.5 * 8) = sqrt(5) - 0.996;
# less the values of the actions 0, 1 and 2.
TRANSFORMED = [3.015 - 2.008, 1.003 - 1.003, np.sqrt(5) - 0.996 + 2.008]


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_transformed_td_errors_match_hand_calculation(mapping):
    q = [[2.008, 1.003, -2.008]] * 3
    args = to_arrays(q, [0, 1, 2], [7.0, -5.0, 0.0], [1.0, 1.0, 0.5], q, q)

    def td_error(*args):
        return q_learning_td_error(*args, rlax.SIGNED_HYPERBOLIC_PAIR)

    np.testing.assert_allclose(
        MAPPINGS[mapping](td_error)(*args), TRANSFORMED, rtol=1e-3, atol=1e-3
    )


def test_q_values_and_metrics_are_inverse_transformed():
    agent = make_tabular("dqn", value_transform="signed_hyperbolic")
    # h(3) = 1.003, h(8) = 2.008, h(0) = 0.
    params = {"~": {"q": jnp.array([[1.003, 2.008, 0.0]] * 3)}}
    states = np.arange(3, dtype=np.int32)
    q, _ = agent.q_values(params, {}, KEYS[0], states, (), "evaluate")
    np.testing.assert_allclose(q, [[3.0, 8.0, 0.0]] * 3, atol=1e-2)
    _, output = agent.loss(params, params, {}, KEYS, TRANSITION, WEIGHTS)
    np.testing.assert_allclose(output.metrics["max_q"], 8.0, atol=1e-2)
    np.testing.assert_allclose(output.metrics["mean_q"], 11 / 3, atol=1e-2)


FLOATS = floats(-10, 10)
VALUES = hnp.arrays(np.float32, (3, 3), elements=FLOATS)


def slow_td_error(q_tm1, a_tm1, r_t, discount_t, q_target_t, q_selector_t, squash):
    """The TD error in plain Python, with h^-1 by bisection."""

    def h(x):
        return float(np.sign(x) * (np.sqrt(abs(x) + 1) - 1) + 0.001 * x)

    best = max(range(3), key=lambda action: q_selector_t[action])
    value = float(q_target_t[best])
    if not squash:
        return float(r_t) + float(discount_t) * value - float(q_tm1[a_tm1])
    low, high = -1e4, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if h(middle) < value else (low, middle)
    return h(float(r_t) + float(discount_t) * low) - float(q_tm1[a_tm1])


JITTED = {
    squash: jax.jit(lambda *args, pair=pair: q_learning_td_error(*args, transform=pair))
    for squash, pair in [
        (False, rlax.IDENTITY_PAIR),
        (True, rlax.SIGNED_HYPERBOLIC_PAIR),
    ]
}


@pytest.mark.parametrize("squash", [False, True])
@settings(deadline=None, max_examples=40)
@given(VALUES, st.integers(0, 2), FLOATS, floats(0, 1))
def test_td_errors_match_slow_reference_and_rlax(squash, q, a_tm1, r_t, discount_t):
    args = *to_arrays(q[0], a_tm1, r_t, discount_t), q[1], q[2]
    expected = slow_td_error(*args, squash)
    # RLax's h^-1 is a difference of numbers near 1 over 0.002: it loses digits.
    atol = 0.02 if squash else 1e-5
    np.testing.assert_allclose(JITTED[squash](*args), expected, rtol=1e-3, atol=atol)
    if not squash:
        theirs = rlax.double_q_learning(*args)
        np.testing.assert_allclose(JITTED[squash](*args), theirs, rtol=1e-5, atol=1e-5)
