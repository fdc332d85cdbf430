"""A node knows which life it is in, and a first life has the seeds of a plain run."""

import pytest

from distrl.system.session import Session, read_session


@pytest.mark.parametrize("session", [Session(), Session("a", 2, 3), Session("b", 0, 1)])
def test_a_session_goes_through_the_environment(session):
    assert read_session(session.to_environment()) == session


def test_a_process_without_a_launcher_is_in_its_first_life():
    assert read_session({}) == Session("", 0, 0)


def test_lives_differ_and_the_first_adds_nothing_to_a_seed():
    lives = [Session("x", number, restarts) for number in (0, 1) for restarts in (0, 1)]
    indices = [life.indices for life in lives]
    assert indices == [(), (0, 1), (1, 0), (1, 1)]
