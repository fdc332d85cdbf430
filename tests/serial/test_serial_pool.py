"""The way of items to replay: all of them, in order, in groups of one size."""

import numpy as np

from distrl.serial.pool import ItemPool
from distrl.types import Items


def make_items(numbers, priorities=None):
    return Items({"x": np.array(numbers, np.int32)}, priorities)


def take(pool):
    return [
        (items["x"].tolist(), priorities.tolist()) for items, priorities in pool.take()
    ]


def test_items_come_back_in_order_in_whole_groups():
    pool = ItemPool(3, priority_epsilon=0.5)
    assert take(pool) == []
    pool.put(make_items([0, 1]))
    assert take(pool) == []
    pool.put(make_items([]))
    pool.put(make_items([2, 3, 4, 5, 6]))
    ones = [1.0, 1.0, 1.0]
    assert take(pool) == [([0, 1, 2], ones), ([3, 4, 5], ones)]
    assert take(pool) == []
    pool.put(make_items([7, 8]))
    assert take(pool) == [([6, 7, 8], ones)]


def test_priorities_of_the_actor_have_the_epsilon_added():
    pool = ItemPool(2, priority_epsilon=0.25)
    pool.put(make_items([0, 1], np.array([0.0, 2.0], np.float32)))
    (group,) = take(pool)
    assert group == ([0, 1], [0.25, 2.25])


def test_a_flush_leaves_nothing_behind():
    pool = ItemPool(2, priority_epsilon=0.0)
    pool.put(Items(np.arange(5), np.arange(5.0)))
    groups = [items.tolist() for items, _ in pool.flush()]
    assert groups == [[0, 1], [2, 3], [4]]
    assert list(pool.flush()) == []
    pool.put(Items(np.arange(2), None))
    assert [items.tolist() for items, _ in pool.take()] == [[0, 1]]
