"""Categorical losses against values computed by hand and a slow reference."""

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
from distrl.agents.categorical import categorical_q_loss
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.types import EnvironmentSpec, Transition

# Atoms are 0, 1 and 2; the network at t-1 gives probabilities (1/2, 1/4, 1/4), so
# the cross-entropy of a target p is ln 2 * (p0 + 2 p1 + 2 p2) = ln 2 * (2 - p0).
#
#        r    discount  p_t            atoms become      target p
#     0   0.5   1       1/4, 1/2, 1/4  0.5, 1.5, 2.5->2  1/8, 3/8, 1/2
#     1   1     0       1/4, 1/2, 1/4  1, 1, 1           0, 1, 0
#     2  -1     0.5     1/2, 1/4, 1/4  -1, -0.5, 0 -> 0  1, 0, 0
#     3   0.25  0.5     1/4, 1/2, 1/4  0.25, 0.75, 1.25  see below
#
# Number 0: 1/4 at 0.5 is halved between 0 and 1, 1/2 at 1.5 is halved between 1 and
# 2, the last 1/4 goes to 2. Number 3: 1/4 at 0.25 gives 3/16 to 0 and 1/16 to 1; 1/2
# at 0.75 gives 1/8 and 3/8; 1/4 at 1.25 gives 3/16 to 1 and 1/16 to 2: 5/16, 10/16,
# 1/16. Entropies in bits: 3/8 + 3/8 log2(8/3) + 1/2 = 1.405639; 0; 0; and
# 5/16 log2(16/5) + 10/16 log2(16/10) + 1/4 = 1.198192.
LN2 = np.log(2)
ATOMS = np.array([0.0, 1.0, 2.0], np.float32)
SPREAD = np.log([0.25, 0.5, 0.25])  # Mean 1.
LOW = np.log([0.5, 0.25, 0.25])  # Mean 0.75.
CROSS_ENTROPY = LN2 * np.array([1.875, 2.0, 1.0, 1.6875])
DIVERGENCE = CROSS_ENTROPY - LN2 * np.array([1.405639, 0.0, 0.0, 1.198192])


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_losses_match_hand_calculation(mapping):
    other = np.array([3.0, 0.0, 1.0])  # For actions that do not matter.
    logits_tm1 = [[LOW, other], [other, LOW], [LOW, other], [LOW, other]]
    logits_t = [[SPREAD, other], [other, SPREAD], [LOW, other], [other, SPREAD]]
    q_selector_t = [[2.0, 1.0], [-2.0, -1.0], [0.0, -1.0], [0.0, 5.0]]
    args = to_arrays(
        logits_tm1,
        [0, 1, 0, 0],
        [0.5, 1.0, -1.0, 0.25],
        [1.0, 0.0, 0.5, 0.5],
        logits_t,
        q_selector_t,
    )
    cross_entropy, divergence = MAPPINGS[mapping](
        lambda *args: categorical_q_loss(*args, ATOMS)
    )(*args)
    np.testing.assert_allclose(cross_entropy, CROSS_ENTROPY, rtol=1e-5)
    np.testing.assert_allclose(divergence, DIVERGENCE, rtol=1e-5)


# State 0 has LOW for action 0; in state 1 the target network prefers action 0,
# SPREAD, to action 1, LOW; the online network prefers action 1.
ONLINE = {"~": {"q": jnp.array([[LOW, SPREAD], [LOW, SPREAD]], jnp.float32)}}
TARGET = {"~": {"q": jnp.array([[LOW, LOW], [SPREAD, LOW]], jnp.float32)}}
KEYS = jax.random.split(jax.random.PRNGKey(0), 2)
TRANSITION = Transition(
    *to_arrays([0, 0], [0, 0], [0.5, 1.0], [1.0, 0.0], [1, 1]),
)
SPEC = EnvironmentSpec(specs.DiscreteArray(2), num_actions=2)


def make_tabular(name, **loss):
    network = {"states": 2, "outputs": 3}
    config = Config(
        agent=FAMILIES[name],
        network=NetworkConfig("example_networks:tabular_outputs", network, head="none"),
        loss=LossConfig(**{"num_atoms": 3, "v_min": 0.0, "v_max": 2.0, **loss}),
    )
    return make_agent(config, SPEC)


# C51 takes action 0 of state 1: numbers 0 and 1 of the table above. In double
# learning it is action 1: 1/2 at 0.5, 1/4 at 1.5 and 1/4 at 2 give
# 1/4, 3/8, 3/8: cross-entropy 1.75 ln 2, entropy 1/2 + 3/4 log2(8/3) = 1.561278.
# TD errors of means: 0.5 + 1 - 0.75 or 0.5 + 0.75 - 0.75, and 1 - 0.75.
EXPECTED = {
    "c51": (CROSS_ENTROPY[:2], DIVERGENCE[:2], [0.75, 0.25]),
    "rainbow": (
        LN2 * np.array([1.75, 2.0]),
        LN2 * np.array([1.75 - 1.561278, 2.0]),
        [0.5, 0.25],
    ),
}


@pytest.mark.parametrize("is_double", [None, False, True])
@pytest.mark.parametrize("name", EXPECTED)
def test_agent_weights_losses_and_prioritizes_by_divergence(name, is_double):
    agent = make_tabular(name, double=is_double)
    if is_double is not None:
        name = "rainbow" if is_double else "c51"
    cross_entropy, divergence, td_errors = EXPECTED[name]
    weights = np.array([1.0, 0.5], np.float32)
    value, output = jax.jit(agent.loss)(ONLINE, TARGET, {}, KEYS, TRANSITION, weights)
    np.testing.assert_allclose(value, np.mean(cross_entropy * weights), rtol=1e-5)
    np.testing.assert_allclose(output.priorities, divergence, rtol=1e-5)
    expected = {
        "loss": value,
        "mean_abs_td": np.mean(td_errors),
        "mean_q": (0.75 + 1) / 2,
        "max_q": 1.0,
    }
    assert output.metrics.keys() == expected.keys()
    for metric, number in expected.items():
        np.testing.assert_allclose(output.metrics[metric], number, rtol=1e-5)


def slow_loss(logits_tm1, a_tm1, r_t, discount_t, logits_t, q_selector_t, atoms):
    """Algorithm 1 of arXiv 1707.06887 in plain Python, in double precision."""

    def softmax(x):
        exponents = np.exp(x.astype(np.float64) - x.max())
        return exponents / exponents.sum()

    best = max(range(len(q_selector_t)), key=lambda action: q_selector_t[action])
    step = (atoms[-1] - atoms[0]) / (len(atoms) - 1)
    target = np.zeros(len(atoms))
    for atom, probability in zip(atoms, softmax(logits_t[best]), strict=True):
        moved = min(max(float(r_t) + float(discount_t) * atom, atoms[0]), atoms[-1])
        place = (moved - atoms[0]) / step
        low = min(int(np.floor(place)), len(atoms) - 2)
        target[low] += probability * (low + 1 - place)
        target[low + 1] += probability * (place - low)
    cross_entropy = -np.sum(target * np.log(softmax(logits_tm1[a_tm1])))
    entropy = -sum(p * np.log(p) for p in target if p > 0)
    return cross_entropy, cross_entropy - entropy


FLOATS = floats(-5, 5)
FIVE_ATOMS = np.linspace(-2, 4, 5).astype(np.float32)
JITTED = jax.jit(lambda *args: categorical_q_loss(*args, FIVE_ATOMS))
THEIRS = jax.jit(
    lambda *args: rlax.categorical_double_q_learning(
        FIVE_ATOMS, *args[:4], FIVE_ATOMS, *args[4:]
    )
)


# RLax warns that it may move a function to Distrax.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (2, 3, 5), elements=FLOATS),
    hnp.arrays(np.float32, (3,), elements=FLOATS),
    st.integers(0, 2),
    FLOATS,
    floats(0, 1),
)
def test_losses_match_slow_reference_and_rlax(logits, q_t, a_tm1, r_t, discount_t):
    args = *to_arrays(logits[0], a_tm1, r_t, discount_t), logits[1], q_t
    loss, divergence = JITTED(*args)
    slow = slow_loss(*args, FIVE_ATOMS.astype(np.float64))
    np.testing.assert_allclose([loss, divergence], slow, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loss, THEIRS(*args), rtol=1e-5, atol=1e-6)
