"""No two parts of a run share a seed."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distrl.seeding import derive_seed


def test_seeds_of_a_run_are_distinct():
    seeds = {
        derive_seed(seed, role, index, i)
        for seed in range(3)
        for role in ("actor", "evaluator", "actor environment")
        for index in range(16)
        for i in range(16)
    }
    assert len(seeds) == 3 * 3 * 16 * 16


def test_another_number_of_indices_gives_another_seed():
    calls = [
        ("actor", *indices)
        for count in range(5)
        for indices in itertools.product(range(3), repeat=count)
    ]
    # Nor does it matter where the name ends and the numbers begin.
    calls += [("actor 0",), ("actor, 0",), ("actor', 0",), ("actor", 2**32), ("", 0)]
    assert len({derive_seed(1, *call) for call in calls}) == len(calls)


def test_a_seed_is_the_same_for_numpy_numbers():
    assert derive_seed(np.int64(3), "actor", np.int32(1)) == derive_seed(3, "actor", 1)


@given(st.integers(0, 2**31 - 1), st.text(), st.integers(0, 1000))
def test_a_seed_is_the_same_each_time_and_fits_31_bits(seed, role, index):
    derived = derive_seed(seed, role, index)
    assert derived == derive_seed(seed, role, index)
    assert 0 <= derived < 2**31
