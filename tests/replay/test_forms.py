"""Whole items: what goes into the pool, and how batches of items become transitions."""

import numpy as np
import pytest
import tree

from distrl.replay.forms import WholeForm, take_in_turn


def test_one_of_each_item_in_turn():
    leaf = np.arange(24).reshape(3, 4, 2)
    rows = [[leaf[item, row] for item in range(3)] for row in range(4)]
    np.testing.assert_array_equal(take_in_turn(leaf), np.concatenate(rows))


@pytest.mark.parametrize("cuts", [[6], [1, 5], [2, 0, 4]])
def test_decoding_joins_batches_of_items(replay, cuts):
    form = WholeForm(replay.config(transitions_per_item=4), replay.spec)
    items = replay.batch(np.arange(24))
    leaves = [
        leaf.reshape(6, 4, *leaf.shape[1:])
        for leaf in form.make_encoder().encode(items)
    ]
    ends = np.cumsum(cuts)
    parts = [
        [leaf[end - cut : end] for leaf in leaves]
        for cut, end in zip(cuts, ends, strict=True)
    ]
    got = form.decode(parts)
    want = replay.batch(np.arange(24).reshape(6, 4).T.ravel())
    tree.assert_same_structure(got, want)
    tree.map_structure(np.testing.assert_array_equal, got, want)
    tree.map_structure(lambda x, y: x.dtype == y.dtype or pytest.fail(), got, want)
