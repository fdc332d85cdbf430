"""Replay on the device: which items it keeps and how often it draws them."""

import types

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.config import ReplayConfig
from distrl.learner import sum_tree
from distrl.learner.buffer import Buffer

# The 99.9% points of chi-square for 3 and 4 degrees of freedom.
CHI_SQUARE = {3: 16.27, 4: 18.47}
DRAWS = 20_000


class Replay:
    """A buffer of single numbers, with jitted functions."""

    def __init__(self, capacity, **fields):
        self.buffer = Buffer(ReplayConfig(**fields), capacity)
        self.state = self.buffer.init(specs.Array((), np.int32))
        self._add = jax.jit(self.buffer.add, donate_argnums=0)
        self._draw = jax.jit(self.buffer.draw, static_argnums=2)
        self._set = jax.jit(self.buffer.set_priorities, donate_argnums=0)

    def add(self, items, priorities=None):
        items = np.asarray(items, np.int32)
        if priorities is None:
            priorities = np.ones(len(items))
        self.state = self._add(self.state, items, np.asarray(priorities, np.float32))

    def set(self, slots, priorities):
        slots, priorities = np.asarray(slots, np.int32), np.asarray(priorities)
        self.state = self._set(self.state, slots, priorities.astype(np.float32))

    def draw(self):
        slots, probabilities = self._draw(self.state, jax.random.PRNGKey(0), DRAWS)
        items = self.buffer.read(self.state, slots)
        return types.SimpleNamespace(items=items, probabilities=probabilities)

    def count(self):
        """Returns how often each number was drawn."""
        items, counts = np.unique(self.draw().items, return_counts=True)
        return dict(zip(items.tolist(), counts.tolist(), strict=True))


def assert_drawn_by(counts, probabilities):
    """Asserts by Pearson's test that counts fit the probabilities."""
    total = sum(counts.values())
    assert set(counts) <= set(probabilities)
    statistic = sum(
        (counts.get(item, 0) - total * p) ** 2 / (total * p)
        for item, p in probabilities.items()
    )
    assert statistic < CHI_SQUARE[len(probabilities) - 1]


KINDS = pytest.mark.parametrize("kind", ["uniform", "prioritized"])


@KINDS
def test_only_added_items_are_drawn_and_oldest_are_replaced(kind):
    replay = Replay(5, kind=kind)
    replay.add([0, 1])
    assert set(replay.count()) == {0, 1}
    replay.add([2, 3])
    assert set(replay.count()) == {0, 1, 2, 3}
    replay.add([4, 5])  # 5 takes the slot of 0
    assert set(replay.count()) == {1, 2, 3, 4, 5}
    replay.add([6, 7])
    replay.add([8, 9])
    replay.add([10, 11])
    assert set(replay.count()) == {7, 8, 9, 10, 11}


@KINDS
def test_equal_items_have_equal_probabilities(kind):
    replay = Replay(5, kind=kind)
    for start in range(0, 14, 2):
        replay.add([start, start + 1])
    assert_drawn_by(replay.count(), dict.fromkeys(range(9, 14), 0.2))
    np.testing.assert_allclose(replay.draw().probabilities, 0.2, rtol=1e-6)


def test_draws_are_proportional_to_priority_to_the_exponent():
    replay = Replay(4, kind="prioritized", priority_exponent=0.5)
    replay.add([10, 11], [1.0, 4.0])
    replay.add([12, 13], [9.0, 16.0])
    # Their roots are 1, 2, 3, 4, which sum to 10.
    shares = {10: 0.1, 11: 0.2, 12: 0.3, 13: 0.4}
    assert_drawn_by(replay.count(), shares)
    drawn = replay.draw()
    wanted = [shares[item] for item in drawn.items.tolist()]
    np.testing.assert_allclose(drawn.probabilities, wanted, rtol=1e-6)


def test_draws_are_in_random_order():
    replay = Replay(100, kind="prioritized")
    replay.add(np.arange(100))
    first, second = np.split(np.asarray(replay.draw().items), 2)
    # Each half's mean is 49.5, its standard error 28.9 / sqrt(10,000) = 0.29.
    assert abs(first.mean() - 49.5) < 1.2
    assert abs(second.mean() - 49.5) < 1.2


def test_last_update_of_a_priority_wins():
    replay = Replay(4, kind="prioritized", priority_exponent=1.0)
    replay.add([0, 1, 2, 3])
    replay.set([2, 0, 2], [9.0, 2.0, 5.0])
    # The priorities are 2, 1, 5 and 1, which sum to 9.
    assert_drawn_by(replay.count(), {0: 2 / 9, 1: 1 / 9, 2: 5 / 9, 3: 1 / 9})
    assert sum_tree.total(replay.state.tree) == 9.0


def test_new_item_does_not_inherit_priority_of_its_slot():
    replay = Replay(2, kind="prioritized", priority_exponent=1.0)
    replay.add([0, 1], [100.0, 1.0])
    replay.add([2], [1.0])
    np.testing.assert_allclose(replay.draw().probabilities, 0.5)
    assert set(replay.count()) == {1, 2}


def test_zero_priority_is_drawn_only_if_all_are_zero():
    replay = Replay(4, kind="prioritized", priority_exponent=0.0)
    replay.add([0, 1, 2], [0.0, 3.0, 5.0])
    # 0^0 is 0 here, as in Reverb; the others weigh 1.
    assert set(replay.count()) == {1, 2}
    np.testing.assert_allclose(replay.draw().probabilities, 0.5)
    replay.set([0, 1, 2], [0.0, 0.0, 0.0])
    assert set(replay.count()) == {0, 1, 2}
    np.testing.assert_allclose(replay.draw().probabilities, 1 / 3, rtol=1e-6)
