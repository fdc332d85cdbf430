"""Quantile losses against values computed by hand and a slow reference."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_families import FAMILIES, MAPPINGS, floats, to_arrays

from distrl.agents import make_agent
from distrl.agents.quantile import quantile_q_loss
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

# Quantiles 1/4 and 3/4 have the values 0 and 2 of the action taken; the target is
# 1 + 0.5 * (1, 3) = (1.5, 2.5). Of u = target - value, 1.5 and 2.5 for the first value
# weigh 1/4 each; -0.5 weighs |3/4 - 1| = 1/4 and 0.5 weighs 3/4 for the second:
#     delta None  L = |u|                    1/4 (1.5 + 2.5) / 2 = 0.5
#                                            (1/4 0.5 + 3/4 0.5) / 2 = 0.25; 0.75
#     delta 1     L = 1, 2, 0.125, 0.125     1/4 (1 + 2) / 2 = 0.375; 0.0625; 0.4375
#     delta 2     L = 1.125, 3, 0.125, 0.125 1/4 4.125 / 2 = 0.515625; 0.0625; 0.578125
# The means are 1 and 2: the TD error is 1.
TAU = np.array([0.25, 0.75], np.float32)
LOSSES = [(None, 0.75), (1.0, 0.4375), (2.0, 0.578125)]


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize(("huber_delta", "expected"), LOSSES)
def test_losses_match_hand_calculation(huber_delta, expected, mapping):
    # The second transition is the first with its actions in the other order; the
    # third ends, with a target of (1, 1): u = 1, 1, -1, -1, each weighing 1/4; the
    # sum is 1/4 L(1) + 1/4 L(1) and L(1) is 1, 0.5 and 0.5.
    quantiles_tm1 = [[[0, 9], [2, 9]], [[9, 0], [9, 2]], [[0, 9], [2, 9]]]
    quantiles_t = [[[1, -9], [3, 9]], [[-9, 1], [9, 3]], [[1, -9], [3, 9]]]
    args = to_arrays(
        np.array(quantiles_tm1, float),
        [0, 1, 0],
        [1.0, 1.0, 1.0],
        [0.5, 0.5, 0.0],
        np.array(quantiles_t, float),
        [[1.0, 0.0], [-2.0, -1.0], [0.0, -1.0]],
    )

    def loss(quantiles_tm1, *args):
        return quantile_q_loss(quantiles_tm1, TAU, *args, huber_delta)

    item = MAPPINGS[mapping](loss)(*args)
    end = 0.5 if huber_delta is None else 0.25
    np.testing.assert_allclose(item.loss, [expected, expected, end], rtol=1e-6)
    np.testing.assert_allclose(item.td_error, [1.0, 1.0, 0.0], atol=1e-6)
    assert item.priority is None


# State 0 has the values 0 and 2 for action 0. In state 1 the target network prefers
# action 0, of 1 and 3; the online network prefers action 1, of 1 and 1.
ONLINE = {"~": {"q": jnp.array([[[0.0, 2], [0, 0]], [[0, 0], [1, 2]]])}}
TARGET = {"~": {"q": jnp.array([[[7.0, 7], [7, 7]], [[1, 3], [1, 1]]])}}
KEYS = jax.random.split(jax.random.PRNGKey(0), 2)
TRANSITION = Transition(*to_arrays([0, 0], [0, 0], [1.0, 1.0], [0.5, 0.0], [1, 1]))
SPEC = EnvironmentSpec(specs.DiscreteArray(2), num_actions=2)


def make_tabular(**loss):
    network = {"states": 2, "outputs": 2}
    config = Config(
        agent=FAMILIES["qr_dqn"],
        network=NetworkConfig("example_networks:tabular_outputs", network, head="none"),
        loss=LossConfig(num_quantiles=2, **loss),
    )
    return make_agent(config, SPEC)


@pytest.mark.parametrize("is_double", [None, True])
def test_agent_weights_losses_and_prioritizes_by_td_errors(is_double):
    agent = make_tabular(double=is_double)
    weights = np.array([1.0, 0.5], np.float32)
    value, output = jax.jit(agent.loss)(ONLINE, TARGET, {}, KEYS, TRANSITION, weights)
    # The losses are those of the first and third transition above. In double
    # learning the target is 1 + 0.5 * (1, 1): u = 1.5, 1.5, -0.5, -0.5; with weights
    # of 1/4, 1/4 * 1 + 1/4 * 0.125 = 0.28125. The TD error of means is 0.5.
    first, td_error = (0.28125, 0.5) if is_double else (0.4375, 1.0)
    np.testing.assert_allclose(value, (first + 0.5 * 0.25) / 2, rtol=1e-6)
    np.testing.assert_allclose(output.priorities, [td_error, 0.0], atol=1e-6)
    expected = {
        "loss": value,
        "mean_abs_td": td_error / 2,
        "mean_q": 0.5,
        "max_q": 1.0,
    }
    assert output.metrics.keys() == expected.keys()
    for metric, number in expected.items():
        np.testing.assert_allclose(output.metrics[metric], number, rtol=1e-6)


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
    delta: jax.jit(lambda *args, delta=delta: quantile_q_loss(*args, delta))
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
def test_losses_match_slow_reference(
    huber_delta, quantiles_tm1, tau, quantiles_t, q_t, a_tm1, r_t, discount_t
):
    args = quantiles_tm1, tau, *to_arrays(a_tm1, r_t, discount_t), quantiles_t, q_t
    loss = JITTED[huber_delta](*args).loss
    expected = slow_loss(*args, huber_delta)
    # Where u is 0 except for rounding, so is its loss.
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-4)
