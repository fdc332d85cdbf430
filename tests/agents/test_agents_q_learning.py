"""DQN, Double DQN and Munchausen DQN against hand calculations and slow references."""

import hypothesis.extra.numpy as hnp
import jax
import numpy as np
import pytest
import rlax
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_families import (
    check_loss,
    floats,
    make_estimates,
    make_table,
    make_tabular,
    make_transition,
    squash,
    to_arrays,
    unsquash,
)

from distrl.agents.q_learning import munchausen_td_error, q_learning_td_error

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
ONLINE = make_table([[1, 2, 3], [4, 6, 5], [0, -1, -2]])
TARGET = make_table([[0.5, 0, 0], [1, 2, 8], [3, -4, 2]])
STATES, ACTIONS = [0, 1, 2, 0], [1, 0, 2, 0]
TRANSITION = make_transition(
    STATES, ACTIONS, [1.0, -1.0, 0.5, 1.0], [0.5, 1.0, 0.0, 0.25], [1, 2, 0, 0]
)
WEIGHTS = [1.0, 0.5, 2.0, 1.0]
TD, TD_DOUBLE = [3.0, -2.0, 2.5, 0.125], [0.0, -2.0, 2.5, 0.0]

# Huber of 1 is |td| - 0.5 beyond 1, the squared loss td^2 / 2; then weighted sums:
#   DQN     Huber 2.5, 1.5, 2, 0.0078125; 2.5 + 0.75 + 4 + 0.0078125 = 7.2578125
#           squared 4.5, 2, 3.125, 0.0078125; 4.5 + 1 + 6.25 + 0.0078125 = 11.7578125
#   Double  Huber 0, 1.5, 2, 0; 0.75 + 4 = 4.75
# The loss is the mean of the four. The gradient of q[s, a] is -weight * td / 4, with
# the TD error cut to [-1, 1] by Huber of 1, to [-2, 2] by a bound of 2.
SQUARED = {"huber_delta": None, "max_abs_td_gradient": 2.0}
CASES = [
    ("dqn", {}, TD, 7.2578125, [-0.25, 0.125, -0.5, -0.03125]),
    ("dqn", SQUARED, TD, 11.7578125, [-0.5, 0.25, -1.0, -0.03125]),
    ("dqn", {"double": True}, TD_DOUBLE, 4.75, [0.0, 0.125, -0.5, 0.0]),
    ("double_dqn", {}, TD_DOUBLE, 4.75, [0.0, 0.125, -0.5, 0.0]),
    ("double_dqn", {"double": False}, TD, 7.2578125, [-0.25, 0.125, -0.5, -0.03125]),
]


@pytest.mark.parametrize(("name", "fields", "td", "loss", "gradient"), CASES)
def test_q_learning_matches_hand_calculation(name, fields, td, loss, gradient):
    agent = make_tabular(name, 3, 3, **fields)
    check_loss(
        agent,
        ONLINE,
        TARGET,
        TRANSITION,
        WEIGHTS,
        np.abs(td),
        loss=loss / 4,
        mean_abs_td=np.mean(np.abs(td)),
        # Over the states 0, 1, 2 and 0.
        mean_q=(6 + 15 - 3 + 6) / 12,
        max_q=6.0,
    )
    keys, weights = jax.random.split(jax.random.PRNGKey(0), 4), np.float32(WEIGHTS)
    found, _ = jax.grad(agent.loss, has_aux=True)(
        ONLINE, TARGET, {}, keys, TRANSITION, weights
    )
    table = np.zeros((3, 3), np.float32)
    table[STATES, ACTIONS] = gradient
    np.testing.assert_allclose(found["~"]["q"], table, rtol=1e-6)


def test_q_values_and_metrics_are_inverse_transformed():
    agent = make_tabular("dqn", 3, 3, value_transform="signed_hyperbolic")
    # h(3) = 1.003, h(8) = 2.008, h(0) = 0.
    params = make_table([[1.003, 2.008, 0.0]] * 3)
    states, key = np.arange(3, dtype=np.int32), jax.random.PRNGKey(0)
    q, _ = agent.q_values(params, {}, key, states, (), "evaluate")
    np.testing.assert_allclose(q, [[3.0, 8.0, 0.0]] * 3, atol=1e-2)
    keys, weights = jax.random.split(key, 4), np.float32(WEIGHTS)
    _, output = agent.loss(params, params, {}, keys, TRANSITION, weights)
    np.testing.assert_allclose(output.metrics["max_q"], 8.0, atol=1e-2)
    np.testing.assert_allclose(output.metrics["mean_q"], 11 / 3, atol=1e-2)


# With a temperature of 1 and target values ln(1), ln(3) at t-1, the policy is
# (1/4, 3/4) and its logarithms -1.386294, clipped to -1, and -0.287682. Target values
# ln(2), ln(6) at t have the soft value ln(2 + 6) = 2.079442. alpha is 0.9.
#
#     a    r    discount   target                             q[a]   TD error
#     0    1    0.5        1 - 0.9 + 0.5 * 2.079442           0.5    0.639721
#     1   -1    1         -1 - 0.9 * 0.287682 + 2.079442     -1      1.820528
#     1    2    0          2 - 0.9 * 0.287682                -1      2.741086
def test_munchausen_matches_hand_calculation():
    agent = make_tabular(
        "munchausen_dqn", 2, 2, huber_delta=None, munchausen_temperature=1.0
    )
    td, weights = np.array([0.639721, 1.820528, 2.741086]), np.array([1.0, 0.5, 2.0])
    online = make_table([[0.5, -1.0], [50.0, -50.0]])
    check_loss(
        agent,
        online,
        make_table(np.log([[1, 3], [2, 6]])),
        make_transition([0] * 3, [0, 1, 1], [1.0, -1, 2], [0.5, 1, 0], [1] * 3),
        weights,
        td,
        loss=np.mean(weights * td**2 / 2),
        mean_abs_td=td.mean(),
        mean_q=-0.25,
        max_q=0.5,
    )
    # It acts on Q.
    states, key = np.array([1, 0], np.int32), jax.random.PRNGKey(0)
    q, _ = agent.q_values(online, {}, key, states, (), "evaluate")
    np.testing.assert_array_equal(q, online["~"]["q"][states])


FLOATS = floats(-10, 10)
PAIRS = {"none": rlax.IDENTITY_PAIR, "squash": rlax.SIGNED_HYPERBOLIC_PAIR}
JITTED = {
    name: jax.jit(lambda *args, pair=pair: q_learning_td_error(*args, transform=pair))
    for name, pair in PAIRS.items()
}


@pytest.mark.parametrize("name", PAIRS)
@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (3, 3), elements=FLOATS),
    st.integers(0, 2),
    FLOATS,
    floats(0, 1),
)
def test_q_learning_matches_slow_reference_and_rlax(name, q, a_tm1, r_t, discount_t):
    step = to_arrays(a_tm1, r_t, discount_t)
    found = JITTED[name](make_estimates(*q), *step)
    if name == "none":
        expected = rlax.double_q_learning(q[0], *step, q[1], q[2])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    else:
        value_t = unsquash(np.float64(q[1][np.argmax(q[2])]))
        expected = squash(r_t + discount_t * value_t) - q[0][a_tm1]
        # RLax's h^-1 is a difference of numbers near 1 over 0.002: it loses digits.
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.02)


def slow_munchausen(
    q_tm1, target_tm1, target_t, a_tm1, r_t, discount_t, alpha, temperature, clip
):
    """The paper's equation: a sum over actions, in double precision."""

    def make_policy(q):
        q = q.astype(np.float64)
        exponents = np.exp((q - q.max()) / temperature)
        return exponents / exponents.sum()

    bonus = temperature * np.log(max(make_policy(target_tm1)[a_tm1], 1e-300))
    value = sum(
        p * (q - temperature * np.log(p))
        for p, q in zip(make_policy(target_t), target_t, strict=True)
        if p > 0
    )
    target = r_t + alpha * min(max(bonus, clip), 0.0) + discount_t * value
    return target - q_tm1[a_tm1]


JITTED_MUNCHAUSEN = jax.jit(munchausen_td_error)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (3, 4), elements=floats(-5, 5)),
    st.tuples(
        st.integers(0, 3),
        floats(-5, 5),
        floats(0, 1),
        floats(0, 1),
        floats(0.03125, 2),
        floats(-2, 0),
    ),
)
def test_munchausen_matches_slow_reference(q, numbers):
    args = to_arrays(*numbers)
    found = JITTED_MUNCHAUSEN(make_estimates(q[0], q[2], None, q[1]), *args)
    expected = slow_munchausen(*q, *args)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
