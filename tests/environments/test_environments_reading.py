"""What an environment may return, to the last number."""

import numpy as np
import pytest
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scripted_environments import Constant, Scripted

from distrl.environments import VectorEnvironment, make_spec
from distrl.environments.reading import (
    find_leaves,
    read_array,
    read_discounts,
    read_rewards,
)
from distrl.errors import EnvironmentFault

INT32, FLOAT32 = np.iinfo(np.int32), np.finfo(np.float32)
NAN, INF = float("nan"), float("inf")


def leaf_of(spec):
    """The leaf of a spec as it travels."""
    (leaf,) = find_leaves(make_spec(Constant(None, spec)).observation)
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
def test_the_bounds_of_a_spec_hold_exactly(spec, good, bad):
    leaf = leaf_of(spec)
    good, bad = np.array(good), np.array(bad)
    np.testing.assert_array_equal(
        read_array(leaf, good, 0), good.astype(np.float32).astype(leaf.dtype)
    )
    with pytest.raises(EnvironmentFault, match="environment 7 .* outside its spec"):
        read_array(leaf, bad, 7)
    with np.errstate(over="ignore"):
        assert leaf.allows(np.stack([good, good]).astype(leaf.dtype))
        assert not leaf.allows(np.stack([good, bad]).astype(leaf.dtype))


@pytest.mark.parametrize(
    "spec",
    [
        specs.Array((3,), np.int64),
        specs.Array((3,), np.uint8),
        specs.BoundedArray((3,), np.uint8, 0, 255),
        # Wider integers may wrap where they are made narrower.
        specs.BoundedArray((3,), np.int64, 0, 2**40),
    ],
)
def test_integers_without_bounds_are_free(spec):
    leaf = leaf_of(spec)
    limits = np.iinfo(leaf.dtype)
    assert leaf.allows(np.array([[limits.min, 0, limits.max]], leaf.dtype))
    assert leaf.find_offence(np.array([limits.min, 0, limits.max])) is None


def test_an_empty_array_among_others_is_allowed():
    leaf = find_leaves(specs.BoundedArray((0,), np.float32, 0, 1))[0]
    assert leaf.allows(np.zeros((4, 0), np.float32))


def test_a_message_says_where_and_what():
    spec = {"a": (specs.BoundedArray((2, 2), np.float32, 0, [[1, 2], [3, 4]]),)}
    (leaf,) = find_leaves(spec)
    with pytest.raises(EnvironmentFault) as caught:
        read_array(leaf, {"a": (np.array([[0, 1], [3.5, 4]]),)}, 3)
    assert str(caught.value) == (
        "environment 3 returned an observation outside its spec at 'a/0': "
        "observation[1, 0] is 3.5; expected 0.0 to 3.0"
    )
    (leaf,) = find_leaves(specs.Array((), np.float32))
    with pytest.raises(EnvironmentFault, match="observation is nan; .* finite number"):
        read_array(leaf, NAN, 0)


LARGE = [float(np.float32(x)) for x in (1e38, -3e38, 1e20)]
FLOATS = st.floats(width=32) | st.sampled_from([NAN, INF, -INF, *LARGE])


@settings(deadline=None, max_examples=200)
@given(
    array=hnp.arrays(np.float32, (3, 2, 2), elements=FLOATS),
    low=st.sampled_from([-INF, -1.0, 0.0]),
    high=st.sampled_from([0.0, 2.0, INF]),
    is_wide=st.booleans(),
)
def test_the_quick_look_and_the_slow_one_agree(array, low, high, is_wide):
    spec = specs.BoundedArray((2, 2), np.float32, low, high)
    if is_wide:
        spec = specs.BoundedArray((2, 2), np.float32, np.full((2, 2), low), high)
    (leaf,) = find_leaves(spec)
    allowed = bool(
        np.all(np.isfinite(array)) and np.all(array >= low) and np.all(array <= high)
    )
    assert leaf.allows(array) == allowed
    assert all(leaf.find_offence(each) is None for each in array) == allowed


@pytest.mark.parametrize(
    "value", [1, True, -2.5, np.float32(0.5), np.int64(3), np.float16(2), np.zeros(())]
)
def test_a_number_is_a_reward(value):
    rewards = read_rewards([0.0, value])
    assert rewards.dtype == np.float64
    np.testing.assert_array_equal(rewards, [0.0, float(value)])


@pytest.mark.parametrize(
    "value",
    [NAN, INF, -INF, 3.5e38, -1e300, None, "1", np.str_("1"), np.zeros(2), 1j, np.nan],
)
def test_anything_else_is_none(value):
    with pytest.raises(EnvironmentFault, match="environment 1 returned the reward"):
        read_rewards([0.0, value, 0.0])


def test_many_large_rewards_are_still_numbers():
    largest = float(FLOAT32.max)
    np.testing.assert_array_equal(read_rewards([largest] * 4), [largest] * 4)


def test_a_discount_is_from_0_to_1_and_none_is_1():
    discounts = read_discounts([None, 0, 0.5, np.float32(1.0)])
    np.testing.assert_array_equal(discounts, np.array([1, 0, 0.5, 1], np.float32))
    assert discounts.dtype == np.float32


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, INF, "1", "much"])
def test_another_discount_is_refused(value):
    with pytest.raises(EnvironmentFault, match="environment 2 returned the discount"):
        read_discounts([None, 1.0, value])


def test_who_raises_is_named_with_its_call_and_its_error_is_the_cause():
    class Raising(Scripted):
        def __init__(self, error):
            super().__init__([[(0.0, 1.0)]])
            self.error = error

        def reset(self):
            if self._episode == 1:  # one was played, another begun
                raise self.error
            return super().reset()

        def step(self, action):
            if self._episode == 0 and self._step == 0 and action == 2:
                raise self.error
            return super().step(action)

    lost = KeyError("lost")
    vectors = []
    for _ in range(2):
        environments = [Scripted([[(0.0, 1.0)]]), Raising(lost)]
        vectors.append(VectorEnvironment(environments, make_spec(environments[0])))
        vectors[-1].reset()
    with pytest.raises(EnvironmentFault) as caught:
        vectors[0].step(np.array([0, 2]))
    assert str(caught.value) == "environment 1 failed in step(2): KeyError: 'lost'"
    assert caught.value.__cause__ is lost
    vectors[1].step(np.array([0, 1]))
    with pytest.raises(EnvironmentFault, match="environment 1 failed in reset()"):
        vectors[1].step(np.array([0, 1]))
