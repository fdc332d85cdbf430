"""Checks of the values that an environment returns."""

import contextlib

import numpy as np
import pytest
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scripted_environments import Constant

from distrl.environments import SyncEnvironment, make_spec
from distrl.environments.value_checks import (
    make_leaves,
    read_array,
    read_discounts,
    read_rewards,
)
from distrl.errors import EnvironmentFault

INT32, FLOAT32 = np.iinfo(np.int32), np.finfo(np.float32)
NAN, INF = float("nan"), float("inf")


def leaf_of(spec):
    """Returns the leaf of a spec that is one array."""
    (leaf,) = make_leaves(make_spec(Constant(None, spec)).observation, spec)
    return leaf


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (specs.Array((2,), np.float32), [FLOAT32.max, -FLOAT32.max], [NAN, 0]),
        (specs.Array((2,), np.float32), [1e30, 1e30], [0, INF]),
        (specs.Array((2,), np.float32), [0, -1], [-INF, INF]),
        (specs.Array((2,), np.float64), [0, 1], [0, 1e39]),
        (specs.BoundedArray((2,), np.float32, -1, 1), [-1, 1], [0, 1.0000001]),
        (specs.BoundedArray((2,), np.float32, -1, 1), [-1, 1], [NAN, 0]),
        # float32 has no 0.1, so bound and value are rounded alike.
        (specs.BoundedArray((2,), np.float64, 0.1, 0.3), [0.1, 0.3], [0.1, 0.30001]),
        (specs.BoundedArray((2,), np.float32, [-INF, 0], [0, INF]), [-9, 9], [1, 1]),
        (specs.BoundedArray((2,), np.float32, [-INF, 0], [0, INF]), [0, 0], [-INF, 0]),
        (specs.BoundedArray((2,), np.float32, -INF, INF), [-9, 9], [0, NAN]),
        (specs.BoundedArray((2,), np.int64, 0, 3), [0, 3], [0, 4]),
        (specs.BoundedArray((2,), np.int64, [0, 5], [3, 6]), [3, 5], [4, 5]),
        (specs.BoundedArray((2,), np.uint8, 0, 1), [0, 1], [0, 2]),
        (specs.BoundedArray((2,), np.bool_, 0, 1), [0, 1], [0, 2]),
        (specs.DiscreteArray(3), 2, 3),
        (specs.DiscreteArray(3), 0, -1),
        (specs.Array((), np.float32), 0.5, NAN),
    ],
)
@pytest.mark.filterwarnings("error")
def test_bounds_of_a_spec_are_exact(spec, good, bad):
    leaf = leaf_of(spec)
    good, bad = np.array(good), np.array(bad)
    carried = good.astype(np.float32).astype(leaf.dtype)
    np.testing.assert_array_equal(read_array(leaf, good, 0, "reset()"), carried)
    with pytest.raises(EnvironmentFault, match="environment 7 .* outside its spec"):
        read_array(leaf, bad, 7, "step()")
    both = leaf.convert(np.stack([good, good]), 2)
    np.testing.assert_array_equal(both, [carried] * 2)
    assert both.dtype == leaf.dtype
    assert leaf.convert(np.stack([good, bad]), 2) is None


@pytest.mark.parametrize(
    "spec",
    [
        specs.Array((3,), np.int64),
        specs.Array((3,), np.uint64),
        specs.Array((3,), np.uint8),
        specs.BoundedArray((3,), np.uint8, 0, 255),
        specs.BoundedArray((3,), np.int64, -(2**40), 2**40),
    ],
)
def test_integers_are_limited_by_both_dtypes(spec):
    leaf = leaf_of(spec)
    own = np.iinfo(spec.dtype)
    least, most = max(own.min, INT32.min), min(own.max, INT32.max)
    np.testing.assert_array_equal(
        leaf.convert(np.array([[least, 0, most]], spec.dtype), 1), [[least, 0, most]]
    )
    for number in (least - 1, most + 1):
        wide = np.array([0, number, 0])
        assert leaf.convert(wide[None], 1) is None
        with pytest.raises(
            EnvironmentFault, match=rf"\[1\] is {number}; expected {least} to"
        ):
            read_array(leaf, wide, 0, "step()")


@pytest.mark.parametrize(
    ("spec", "good", "bad", "words"),
    [
        # A cast does not change whole numbers, whatever their dtype.
        (specs.Array((2,), np.int32), [1.0, 2.0], [1.0, 2.5], r"\[1\] is 2.5; .*whole"),
        (specs.Array((2,), np.uint8), [True, False], [0.99, 0.0], "since .*uint8"),
        (specs.Array((2,), np.bool_), [1, 0], [0.5, 0.0], "whole .*bool"),
        (specs.DiscreteArray(3), 2.0, 1.5, "observation is 1.5; .* whole"),
        (specs.Array((2,), np.int8), [1, 2], [NAN, 1], "is nan; expected -128 to 127"),
        (specs.Array((2,), np.float32), [1, 2], [1j, 2], r"got \[1j, 2\]"),
        (specs.Array((2,), np.float32), [True, 2], ["1", "2"], "'1'"),
        (
            specs.Array((2,), np.float32),
            [0, 0],
            [[1.0], [1.0, 2.0]],
            r"got \[\[1.0\], ",
        ),
        (specs.Array((), np.float32), 3, "3", r"got '3' \(str\)"),
        (specs.Array((), np.float32), 3, 10**400, r"got 1000*\.\.\."),
    ],
)
def test_lossy_casts_are_refused(spec, good, bad, words):
    vector = SyncEnvironment([inner := Constant(good, spec)], make_spec(inner))
    np.testing.assert_array_equal(vector.reset(), [good])
    step = vector.step(np.zeros(1, np.int32))
    np.testing.assert_array_equal(step.observation_t, [good])
    inner.observation = bad
    with pytest.raises(
        EnvironmentFault, match=rf"environment 0 .* from step\(\) .*{words}"
    ):
        vector.step(np.zeros(1, np.int32))
    with pytest.raises(
        EnvironmentFault, match=rf"environment 0 .* from reset\(\) .*{words}"
    ):
        vector.reset()


def test_error_names_place_value_and_bounds():
    spec = {"a": (specs.BoundedArray((2, 2), np.float32, 0, [[1, 2], [3, 4]]),)}
    (leaf,) = make_leaves(spec)
    with pytest.raises(EnvironmentFault) as caught:
        read_array(leaf, {"a": (np.array([[0, 1], [3.5, 4]]),)}, 3, "step()")
    assert str(caught.value) == (
        "environment 3 returned an observation from step() outside its spec at 'a/0': "
        "observation[1, 0] is 3.5; expected 0.0 to 3.0"
    )
    (leaf,) = make_leaves(specs.Array((), np.float32))
    with pytest.raises(EnvironmentFault, match="observation is nan; .* finite number"):
        read_array(leaf, NAN, 0, "reset()")


LARGE = [float(np.float32(x)) for x in (1e38, -3e38, 1e20)]
FLOATS = st.floats(width=32) | st.sampled_from([NAN, INF, -INF, *LARGE])


@settings(deadline=None, max_examples=200)
@given(
    array=hnp.arrays(np.float32, (3, 2, 2), elements=FLOATS),
    low=st.sampled_from([-INF, -1.0, 0.0]),
    high=st.sampled_from([0.0, 2.0, INF]),
    is_wide=st.booleans(),
)
def test_batch_and_single_checks_agree(array, low, high, is_wide):
    spec = specs.BoundedArray((2, 2), np.float32, low, high)
    if is_wide:
        spec = specs.BoundedArray((2, 2), np.float32, np.full((2, 2), low), high)
    (leaf,) = make_leaves(spec)
    allowed = bool(
        np.all(np.isfinite(array)) and np.all(array >= low) and np.all(array <= high)
    )
    assert (leaf.convert(array, 3) is not None) == allowed
    with contextlib.nullcontext() if allowed else pytest.raises(EnvironmentFault):
        for each in array:
            read_array(leaf, each, 0, "step()")


@pytest.mark.parametrize(
    "value", [1, True, -2.5, np.float32(0.5), np.int64(3), np.zeros(()), np.ones(1)]
)
def test_numbers_are_valid_rewards(value):
    rewards = read_rewards([0.0, value])
    assert rewards.dtype == np.float64
    np.testing.assert_array_equal(rewards, [0.0, np.asarray(value).item()])


NO_REWARDS = [
    NAN, INF, -1e300, 10**400, None, "1", b"1", np.array("1"), np.zeros(2),
    np.zeros(0), [1.0], {}, np.complex64(1),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_REWARDS)
def test_invalid_rewards_are_refused(value):
    with pytest.raises(EnvironmentFault, match="environment 1 returned the reward .*"):
        read_rewards([0.0, value, 0.0])


def test_discounts_become_float32_and_none_becomes_one():
    discounts = read_discounts([None, 0, 0.5, np.float32(1.0)])
    np.testing.assert_array_equal(discounts, np.array([1, 0, 0.5, 1], np.float32))
    assert discounts.dtype == np.float32


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, "1"])
def test_invalid_discounts_are_refused(value):
    with pytest.raises(EnvironmentFault, match="environment 2 returned the discount"):
        read_discounts([None, 1.0, value])
