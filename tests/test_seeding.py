"""No two parts of a run share a seed."""

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


@given(st.integers(0, 2**31 - 1), st.text(), st.integers(0, 1000))
def test_a_seed_is_the_same_each_time_and_fits_31_bits(seed, role, index):
    derived = derive_seed(seed, role, index)
    assert derived == derive_seed(seed, role, index)
    assert 0 <= derived < 2**31
