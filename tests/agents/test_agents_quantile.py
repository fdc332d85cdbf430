"""QR-DQN and IQN against values computed by hand and a slow reference."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_families import (
    check_loss,
    floats,
    make_estimates,
    make_table,
    make_tabular,
    make_transition,
    to_arrays,
)

from distrl.agents.quantile import quantile_loss

KEYS = jax.random.split(jax.random.PRNGKey(0), 2)
TRANSITION = make_transition([0, 0], [0, 0], [1.0, 1.0], [0.5, 0.0], [1, 1])

# Quantiles 1/4 and 3/4 have the values 0 and 2 of action 0 in state 0. In state 1 the
# target network prefers action 0, of 1 and 3; the online network action 1, of 1 and 1.
# The first target is 1 + 0.5 * (1, 3) = (1.5, 2.5). Of u = target - value, 1.5 and 2.5
# for the first value weigh 1/4 each; -0.5 weighs |3/4 - 1| = 1/4 and 0.5 weighs 3/4 for
# the second:
#     delta None  L = |u|                    1/4 (1.5 + 2.5) / 2 = 0.5
#                                            (1/4 0.5 + 3/4 0.5) / 2 = 0.25; 0.75
#     delta 1     L = 1, 2, 0.125, 0.125     1/4 (1 + 2) / 2 = 0.375; 0.0625; 0.4375
#     delta 2     L = 1.125, 3, 0.125, 0.125 1/4 4.125 / 2 = 0.515625; 0.0625; 0.578125
# The means are 1 and 2: the TD error is 1. In double learning the target is (1.5, 1.5):
# u = 1.5, 1.5, -0.5, -0.5, all weighing 1/4: 1/4 * 1 + 1/4 * 0.125, and the TD error
# is 0.5. The second transition ends, with a target of (1, 1): u = 1, 1, -1, -1, each
# weighing 1/4: 1/2 L(1), of 1, 0.5 and 0.5.
CASES = [
    (None, None, [0.75, 0.5], 1.0),
    (1.0, None, [0.4375, 0.25], 1.0),
    (2.0, None, [0.578125, 0.25], 1.0),
    (1.0, True, [0.28125, 0.25], 0.5),
]


@pytest.mark.parametrize(("huber_delta", "is_double", "losses", "td_error"), CASES)
def test_qr_dqn_matches_hand_calculation(huber_delta, is_double, losses, td_error):
    fields = {"num_quantiles": 2, "huber_delta": huber_delta, "double": is_double}
    check_loss(
        make_tabular("qr_dqn", 2, 2, outputs=2, **fields),
        make_table([[[0, 2], [0, 0]], [[0, 0], [1, 2]]]),
        make_table([[[7, 7], [7, 7]], [[1, 3], [1, 1]]]),
        TRANSITION,
        [1.0, 0.5],
        [td_error, 0.0],
        loss=(losses[0] + 0.5 * losses[1]) / 2,
        mean_abs_td=td_error / 2,
        mean_q=0.5,
        max_q=1.0,
    )


def slow_loss(
    quantiles_tm1, tau, a_tm1, r_t, discount_t, quantiles_t, q_selector_t, huber_delta
):
    best = max(range(len(q_selector_t)), key=lambda action: q_selector_t[action])
    total = 0.0
    for value, fraction in zip(quantiles_tm1[:, a_tm1], tau, strict=True):
        losses = []
        for target in quantiles_t[:, best]:
            u = float(r_t) + float(discount_t) * float(target) - float(value)
            size = abs(u)
            if huber_delta is not None:
                inside = size <= huber_delta
                outside = huber_delta * (size - huber_delta / 2)
                size = size**2 / 2 if inside else outside
            losses.append(abs(float(fraction) - (u < 0)) * size)
        total += sum(losses) / len(losses)
    return total


FLOATS = floats(-5, 5)
DELTAS = [None, 0.5, 1.0]
JITTED = {
    delta: jax.jit(lambda *args, delta=delta: quantile_loss(*args, delta))
    for delta in DELTAS
}


@pytest.mark.parametrize("huber_delta", DELTAS)
@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(np.float32, (4, 3), elements=FLOATS),
    hnp.arrays(np.float32, (4,), elements=floats(0, 1)),
    hnp.arrays(np.float32, (5, 3), elements=FLOATS),
    hnp.arrays(np.float32, (3,), elements=FLOATS),
    st.integers(0, 2),
    FLOATS,
    floats(0, 1),
)
def test_loss_matches_slow_reference(
    huber_delta, quantiles_tm1, tau, quantiles_t, q_t, a_tm1, r_t, discount_t
):
    step = to_arrays(a_tm1, r_t, discount_t)
    estimates = make_estimates(quantiles_tm1, quantiles_t, q_t, tau=tau)
    loss = JITTED[huber_delta](estimates, *step).loss
    expected = slow_loss(quantiles_tm1, tau, *step, quantiles_t, q_t, huber_delta)
    # Where u is 0 except for rounding, so is its loss.
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-4)


# IQN: the torso is a table, and the features of a state are one number per action. The
# head returns their products with the embedding of a quantile.
ONLINE, TARGET = [[1.0, 4.0], [0.0, 1.0]], [[7.0, 7.0], [3.0, 2.0]]
MANY = 4000


def make_iqn(**loss):
    return make_tabular("iqn", 2, 2, head="linear", **loss)


def make_params(table, slope=0.0):
    """Returns params with the values table * (1 + slope * cos(pi * tau))."""
    return {
        **make_table(table),
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
def test_iqn_matches_hand_calculation(huber_delta, is_double, expected):
    agent = make_iqn(huber_delta=huber_delta, double=is_double, tau_samples=MANY)
    td_errors, weights = [1.0 if is_double else 1.5, 0.5], np.array([1.0, 0.5])
    value = check_loss(
        agent,
        make_params(ONLINE),
        make_params(TARGET),
        TRANSITION._replace(reward_t=np.float32([1.0, 0.5])),
        weights,
        td_errors,
        mean_abs_td=np.mean(td_errors),
        mean_q=2.5,
        max_q=4.0,
    )
    # The mean of 4000 draws strays by 1 / sqrt(12 * 4000) = 0.005 from 0.5.
    loss = np.mean(weights * 0.5 * np.array(expected) * MANY)
    np.testing.assert_allclose(value, loss, rtol=0.03)


def test_quantiles_are_drawn_per_item_and_use():
    agent = make_iqn(tau_samples=2, target_tau_samples=2, policy_tau_samples=1)
    # Values are learned from and bootstrapped from the same state.
    twice = make_transition([0, 0], [0, 0], [0.0, 0.0], [1.0, 1.0], [0, 0])
    params, weights = make_params([[1.0, 0.0]] * 2, slope=0.5), np.ones(2, np.float32)
    _, output = jax.jit(agent.loss)(params, params, {}, KEYS, twice, weights)
    # With the same quantiles on both sides the TD error of means would be 0.
    assert (output.priorities > 1e-4).all()
    assert output.priorities[0] != output.priorities[1]
    _, again = agent.loss(params, params, {}, KEYS[::-1], twice, weights)
    np.testing.assert_allclose(again.priorities, output.priorities[::-1], rtol=1e-5)


@pytest.mark.parametrize("mode", ["act", "evaluate"])
def test_q_values_are_means_over_drawn_quantiles(mode):
    # cos(pi tau) is 0 on average: the mean of all quantiles is the table's number.
    params = make_params(TARGET, slope=1.0)
    states = np.array([0, 1], np.int32)
    many = make_iqn(policy_tau_samples=MANY)
    q, carry = many.q_values(params, {}, KEYS[0], states, (), mode)
    np.testing.assert_allclose(q, TARGET, rtol=0.05)
    assert carry == ()
    # One quantile differs by observation and by key.
    one = make_iqn(policy_tau_samples=1)
    same = np.array([1, 1], np.int32)
    first, second = one.q_values(params, {}, KEYS[0], same, (), mode)[0]
    assert (first != second).all()
    other = one.q_values(params, {}, KEYS[1], same, (), mode)[0][0]
    assert (first != other).all()
