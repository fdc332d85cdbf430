"""Munchausen TD errors against values computed by hand and a slow reference."""

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
from distrl.agents.munchausen import munchausen_td_error
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

# With a temperature of 1 and target values ln(1), ln(3) at t-1, the policy is
# (1/4, 3/4) and its logarithms -1.386294, clipped to -1, and -0.287682. Target values
# ln(2), ln(6) at t have the soft value ln(2 + 6) = 2.079442. alpha is 0.9.
#
#     a    r    discount   target                             q[a]   TD error
#     0    1    0.5        1 - 0.9 + 0.5 * 2.079442           0.5    0.639721
#     1   -1    1         -1 - 0.9 * 0.287682 + 2.079442     -1      1.820528
#     1    2    0          2 - 0.9 * 0.287682                -1      2.741086
Q_TM1, TARGET_TM1, TARGET_T = [0.5, -1.0], np.log([1, 3]), np.log([2, 6])
ACTIONS, REWARDS, DISCOUNTS = [0, 1, 1], [1.0, -1.0, 2.0], [0.5, 1.0, 0.0]
TD = np.array([0.639721, 1.820528, 2.741086])


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_td_errors_match_hand_calculation(temperature, mapping):
    # Halving the temperature and the target values keeps the policies and halves
    # bonuses and soft values; so the clip, Q values and rewards are halved, too.
    args = to_arrays(
        [Q_TM1] * 3, ACTIONS, REWARDS, DISCOUNTS, [TARGET_TM1] * 3, [TARGET_T] * 3
    )
    args = [x if x.dtype == np.int32 else x * np.float32(temperature) for x in args]
    args[3] = np.array(DISCOUNTS, np.float32)

    def td_error(*args):
        return munchausen_td_error(*args, 0.9, temperature, -temperature)

    np.testing.assert_allclose(
        MAPPINGS[mapping](td_error)(*args), TD * temperature, rtol=1e-5
    )


KEYS = jax.random.split(jax.random.PRNGKey(0), 3)
ONLINE = {"~": {"q": jnp.array([Q_TM1, [50.0, -50.0]])}}
TARGET = {"~": {"q": jnp.array([TARGET_TM1, TARGET_T], jnp.float32)}}
TRANSITION = Transition(
    *to_arrays([0, 0, 0], ACTIONS, REWARDS, DISCOUNTS, [1, 1, 1]),
)
SPEC = EnvironmentSpec(specs.DiscreteArray(2), num_actions=2)


def make_tabular(**loss):
    config = Config(
        agent=FAMILIES["munchausen_dqn"],
        network=NetworkConfig("example_networks:tabular", {"states": 2}, head="none"),
        loss=LossConfig(munchausen_temperature=1.0, **loss),
    )
    return make_agent(config, SPEC)


def test_agent_weights_losses_and_acts_on_q_values():
    agent = make_tabular(huber_delta=None)
    weights = np.array([1.0, 0.5, 2.0], np.float32)
    value, output = jax.jit(agent.loss)(ONLINE, TARGET, {}, KEYS, TRANSITION, weights)
    np.testing.assert_allclose(value, np.mean(weights * TD**2 / 2), rtol=1e-5)
    np.testing.assert_allclose(output.priorities, TD, rtol=1e-5)
    expected = {
        "loss": value,
        "mean_abs_td": TD.mean(),
        "mean_q": -0.25,
        "max_q": 0.5,
    }
    assert output.metrics.keys() == expected.keys()
    for metric, number in expected.items():
        np.testing.assert_allclose(output.metrics[metric], number, rtol=1e-5)
    states = np.array([1, 0], np.int32)
    q, _ = agent.q_values(ONLINE, {}, KEYS[0], states, (), "evaluate")
    np.testing.assert_array_equal(q, [[50.0, -50.0], Q_TM1])


def slow_td_error(
    q_tm1, a_tm1, r_t, discount_t, target_tm1, target_t, alpha, temperature, clip
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


FLOATS = floats(-5, 5)
JITTED = jax.jit(munchausen_td_error)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (3, 4), elements=FLOATS),
    st.integers(0, 3),
    FLOATS,
    floats(0, 1),
    floats(0, 1),
    floats(0.03125, 2),
    floats(-2, 0),
)
def test_td_errors_match_slow_reference(
    q, a_tm1, r_t, discount_t, alpha, temperature, clip
):
    args = *to_arrays(q[0], a_tm1, r_t, discount_t), q[1], q[2]
    options = to_arrays(alpha, temperature, clip)
    np.testing.assert_allclose(
        JITTED(*args, *options), slow_td_error(*args, *options), rtol=1e-4, atol=1e-4
    )
