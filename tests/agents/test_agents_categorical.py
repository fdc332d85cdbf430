"""Categorical losses against values computed by hand and a slow reference."""

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
    to_arrays,
)

from distrl.agents.categorical import categorical_loss

# Atoms are 0, 1 and 2; state 0 gives probabilities (1/2, 1/4, 1/4), so the
# cross-entropy of a target p is ln 2 * (p0 + 2 p1 + 2 p2) = ln 2 * (2 - p0). In state 1
# the target network prefers action 0, SPREAD, to action 1, LOW; the online network
# prefers action 1. Four transitions from state 0 by action 0 to state 1:
#
#          r    discount  p_t            atoms become      target p
#     C51
#     0   0.5   1       1/4, 1/2, 1/4  0.5, 1.5, 2.5->2  1/8, 3/8, 1/2
#     1   1     0       1/4, 1/2, 1/4  1, 1, 1           0, 1, 0
#     2   0.25  0.5     1/4, 1/2, 1/4  0.25, 0.75, 1.25  5/16, 10/16, 1/16
#     3  -2     1       1/4, 1/2, 1/4  -2, -1, 0 -> 0    1, 0, 0
#     double
#     0   0.5   1       1/2, 1/4, 1/4  0.5, 1.5, 2.5->2  1/4, 3/8, 3/8
#     2   0.25  0.5     1/2, 1/4, 1/4  0.25, 0.75, 1.25  7/16, 8/16, 1/16
#
# Number 0: 1/4 at 0.5 is halved between 0 and 1, 1/2 at 1.5 is halved between 1 and
# 2, the last 1/4 goes to 2. Number 2: 1/4 at 0.25 gives 3/16 to 0 and 1/16 to 1; 1/2
# at 0.75 gives 1/8 and 3/8; 1/4 at 1.25 gives 3/16 to 1 and 1/16 to 2.
# Mean values are 1 of SPREAD and 0.75 of LOW.
SPREAD, LOW = np.log([0.25, 0.5, 0.25]), np.log([0.5, 0.25, 0.25])
ONLINE = make_table([[LOW, SPREAD], [LOW, SPREAD]])
TARGET = make_table([[LOW, LOW], [SPREAD, LOW]])
TRANSITION = make_transition(
    [0] * 4, [0] * 4, [0.5, 1.0, 0.25, -2.0], [1.0, 0.0, 0.5, 1.0], [1] * 4
)
SINGLE = [[2, 6, 8], [0, 16, 0], [5, 10, 1], [16, 0, 0]], [0.75, 0.25, 0.0, -1.75]
DOUBLE = [[4, 6, 6], [0, 16, 0], [7, 8, 1], [16, 0, 0]], [0.5, 0.25, -0.125, -2.0]


@pytest.mark.parametrize(
    ("name", "is_double", "expected"),
    [
        ("c51", None, SINGLE),
        ("c51", True, DOUBLE),
        ("rainbow", None, DOUBLE),
        ("rainbow", False, SINGLE),
    ],
)
def test_loss_matches_hand_calculation_and_divergence_is_the_priority(
    name, is_double, expected
):
    atoms = {"num_atoms": 3, "v_min": 0.0, "v_max": 2.0}
    target, td_error = np.array(expected[0]) / 16, expected[1]
    cross_entropy = np.log(2) * (2 - target[:, 0])
    entropy = np.array([-sum(p * np.log(p) for p in row if p > 0) for row in target])
    weights = np.array([1.0, 0.5, 2.0, 1.0])
    check_loss(
        make_tabular(name, 2, 2, outputs=3, double=is_double, **atoms),
        ONLINE,
        TARGET,
        TRANSITION,
        weights,
        cross_entropy - entropy,
        loss=np.mean(weights * cross_entropy),
        mean_abs_td=np.mean(np.abs(td_error)),
        mean_q=(0.75 + 1) / 2,
        max_q=1.0,
    )


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
ATOMS = np.linspace(-2, 4, 5).astype(np.float32)
JITTED = jax.jit(lambda *args: categorical_loss(*args, ATOMS))
THEIRS = jax.jit(
    lambda *args: rlax.categorical_double_q_learning(ATOMS, *args[:4], ATOMS, *args[4:])
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
def test_loss_matches_slow_reference_and_rlax(logits, q_t, a_tm1, r_t, discount_t):
    step = to_arrays(a_tm1, r_t, discount_t)
    item = JITTED(make_estimates(*logits, q_t), *step)
    args = logits[0], *step, logits[1], q_t
    slow = slow_loss(*args, ATOMS.astype(np.float64))
    np.testing.assert_allclose([item.loss, item.priority], slow, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(item.loss, THEIRS(*args), rtol=1e-5, atol=1e-6)
