"""No two parts of a run share a seed."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from distrl.seeding import Session, derive_seed, read_session


def test_seeds_of_a_run_are_distinct():
    seeds = {
        derive_seed(seed, role, index, i)
        for seed in range(3)
        for role in ("actor", "evaluator", "actor environment")
        for index in range(16)
        for i in range(16)
    }
    assert len(seeds) == 3 * 3 * 16 * 16


def test_seed_depends_on_number_of_indices():
    calls = [
        ("actor", *indices)
        for count in range(5)
        for indices in itertools.product(range(3), repeat=count)
    ]
    # Roles that look like a role with an index have seeds of their own.
    calls += [("actor 0",), ("actor, 0",), ("actor', 0",), ("actor", 2**32), ("", 0)]
    assert len({derive_seed(1, *call) for call in calls}) == len(calls)


@given(st.integers(0, 2**31 - 1), st.text(), st.integers(0, 1000))
def test_seed_is_repeatable_and_fits_31_bits(seed, role, index):
    derived = derive_seed(seed, role, index)
    assert derived == derive_seed(seed, role, index)
    assert 0 <= derived < 2**31


def test_session_passes_through_environment_variables():
    session = Session("a", 2, 3)
    assert read_session(session.to_environment()) == session
    assert read_session({}) == Session("", 0, 0)


def test_incarnations_have_distinct_seed_indices():
    lives = [Session("x", number, restarts) for number in (0, 1) for restarts in (0, 1)]
    indices = [life.indices for life in lives]
    assert indices == [(), (0, 1), (1, 0), (1, 1)]
