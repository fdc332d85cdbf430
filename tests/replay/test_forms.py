"""Whole items: their order when they are read, and their layout in Reverb."""

import numpy as np
import tree
from replay.conftest import Replay, observe

from distrl.replay.forms import WholeForm, join, take_in_turn
from distrl.types import Transition


def make_transitions(ids):
    """Returns transitions with these ids, `[M, ...]`."""
    ids = np.asarray(ids)
    return Transition(
        observation_tm1=observe(ids),
        action_tm1=ids.astype(np.int32),
        reward_t=ids.astype(np.float32),
        discount_t=np.ones(len(ids), np.float32),
        observation_t=observe(ids + 1),
    )


def test_transitions_are_taken_from_each_item_in_turn():
    items = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(take_in_turn(items), [1, 4, 2, 5, 3, 6])


def test_single_array_is_joined_without_a_copy():
    array = np.arange(3)
    assert join([array]) is array
    np.testing.assert_array_equal(join([array, array + 3]), np.arange(6))


def test_blocks_of_transitions_are_decoded_bit_exact():
    form = WholeForm(Replay.config(transitions_per_item=3), Replay.spec)
    leaves = form.encode(make_transitions(range(12)))
    blocks = [leaf.reshape(4, 3, *leaf.shape[1:]) for leaf in leaves]
    for leaf, spec in zip(blocks, tree.flatten(form.signature), strict=True):
        assert (leaf.shape[1:], leaf.dtype) == (spec.shape, spec.dtype)
    # In two parts, as when a server falls silent within a superbatch.
    parts = [[leaf[:1] for leaf in blocks], [leaf[1:] for leaf in blocks]]
    expected = make_transitions([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11])
    tree.map_structure(np.testing.assert_array_equal, form.decode(parts), expected)
