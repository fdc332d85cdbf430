import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.learner.superbatch import join_superbatch, split_superbatch
from distrl.types import Transition


def test_split_by_hand():
    # Two steps of four transitions over two devices: step 0 is 0 to 3, of which
    # device 0 takes 0 and 1.
    split = split_superbatch(np.arange(8), num_devices=2, num_steps=2)
    np.testing.assert_array_equal(split, [[[0, 1], [4, 5]], [[2, 3], [6, 7]]])


def test_split_takes_nests_and_makes_views():
    rows = np.arange(24).reshape(12, 2)
    nest = Transition({"x": rows}, np.arange(12), rows[:, 0], rows[:, 1], (rows,))
    split = split_superbatch(nest, num_devices=2, num_steps=3)
    shapes = [x.shape for x in jax.tree.leaves(split)]
    assert shapes == [(2, 3, 2, 2), (2, 3, 2), (2, 3, 2), (2, 3, 2), (2, 3, 2, 2)]
    assert all(
        np.shares_memory(x, y)
        for x, y in zip(jax.tree.leaves(split), jax.tree.leaves(nest), strict=True)
    )


@settings(deadline=None, max_examples=50)
@given(
    num_devices=st.integers(1, 4),
    num_steps=st.integers(1, 4),
    slice_size=st.integers(1, 4),
    shape=st.lists(st.integers(1, 3), max_size=2),
)
def test_join_undoes_split(num_devices, num_steps, slice_size, shape):
    size = num_devices * num_steps * slice_size
    nest = {
        "x": np.random.default_rng(0).normal(size=(size, *shape)),
        "y": np.arange(size),
    }
    split = split_superbatch(nest, num_devices, num_steps)
    assert split["y"].shape == (num_devices, num_steps, slice_size)
    joined = join_superbatch(split)
    for name in nest:
        np.testing.assert_array_equal(joined[name], nest[name])


def test_what_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="10 transitions .* 2 steps over 4 devices"):
        split_superbatch(np.arange(10), num_devices=4, num_steps=2)
