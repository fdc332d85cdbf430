"""Weighted draws, compared with sums and shares worked out by NumPy."""

import jax
import numpy as np
import pytest

from distrl.learner import sum_tree

SET = jax.jit(sum_tree.set_weights)
DRAW = jax.jit(sum_tree.draw, static_argnums=2)


def fill(weights):
    weights = np.asarray(weights, np.float32)
    slots = np.arange(len(weights), dtype=np.int32)
    return SET(sum_tree.init(len(weights)), slots, weights)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100, 1_000])
def test_sums_are_those_of_all_blocks_after_many_changes(size):
    tree = sum_tree.init(size)
    rng = np.random.default_rng(size)
    weights = np.zeros(size, np.float32)
    for _ in range(50):
        slots = rng.integers(size, size=8).astype(np.int32)
        # Whole numbers, so that every order of summation gives the same.
        values = rng.integers(0, 1_000, size=8).astype(np.float32)
        tree = SET(tree, slots, values)
        for slot, value in zip(slots, values, strict=True):
            weights[slot] = value
    held = np.asarray(tree.weights)
    np.testing.assert_array_equal(held.ravel()[:size], weights)
    assert not held.ravel()[size:].any()
    level = held.sum(axis=1)
    level = np.pad(level, (0, (len(tree.sums) + 1) // 2 - len(level)))
    levels = [level]
    while len(level) > 1:
        level = level[::2] + level[1::2]
        levels.insert(0, level)
    np.testing.assert_array_equal(tree.sums, np.concatenate(levels))
    assert sum_tree.total(tree) == weights.sum()


@pytest.mark.parametrize("size", [5, 32, 300, 10_000])
def test_draws_fit_the_weights(size):
    rng = np.random.default_rng(size)
    weights = rng.random(size).astype(np.float32) ** 4
    weights[::7] = 0
    slots, drawn = map(np.asarray, DRAW(fill(weights), jax.random.PRNGKey(0), 200_000))
    np.testing.assert_array_equal(drawn, weights[slots])
    assert drawn.min() > 0
    # Pearson's statistic over groups of equal weight, 20 at most.
    order = np.argsort(weights)[np.count_nonzero(weights == 0) :]
    groups = np.array_split(order, min(20, len(order)))
    counts = np.bincount(slots, minlength=size)
    expected = 200_000 * weights / weights.sum(dtype=np.float64)
    statistic = sum(
        (counts[group].sum() - expected[group].sum()) ** 2 / expected[group].sum()
        for group in groups
    )
    # The 99.9% points of chi-square for up to 3 and 19 degrees of freedom.
    assert statistic < (16.27 if len(groups) <= 4 else 43.82)


def test_neighbors_in_a_large_tree_are_drawn_equally_often():
    """With one float32 per draw, a slot of a million has 8 or 9 values of its own."""
    tree = fill(np.ones(1_000_000))
    slots, _ = DRAW(tree, jax.random.PRNGKey(1), 2**22)
    counts = np.bincount(np.asarray(slots), minlength=1_000_000)
    # Of a Poisson distribution the variance equals the mean; its standard error is
    # sqrt(2 / 1e6) of that.
    assert abs(counts.var() / counts.mean() - 1) < 0.01


def test_draws_are_independent_of_each_other():
    slots, _ = DRAW(fill(np.ones(64)), jax.random.PRNGKey(2), 100_000)
    slots = np.asarray(slots, np.float64)
    # The standard error of the correlation of successive draws is 0.003.
    assert abs(np.corrcoef(slots[:-1], slots[1:])[0, 1]) < 0.012


@pytest.mark.parametrize("where", [0, 31, 32, 99])
def test_only_weight_is_always_drawn(where):
    weights = np.zeros(100)
    weights[where] = 1e-30
    slots, drawn = DRAW(fill(weights), jax.random.PRNGKey(3), 1_000)
    assert set(np.asarray(slots)) == {where}
    assert np.all(np.asarray(drawn) > 0)


def test_last_of_equal_slots_counts():
    slots = np.array([3, 1, 3], np.int32)
    weights = np.array([7, 1, 5], np.float32)
    tree = SET(sum_tree.init(4), slots, weights)
    np.testing.assert_array_equal(tree.weights[0, :4], [0, 1, 0, 5])
