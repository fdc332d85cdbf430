"""The session and incarnation of a node, and the indices that they add to seeds."""

from distrl.system.session import Session, read_session


def test_session_passes_through_environment_variables():
    session = Session("a", 2, 3)
    assert read_session(session.to_environment()) == session
    assert read_session({}) == Session("", 0, 0)


def test_incarnations_have_distinct_seed_indices():
    lives = [Session("x", number, restarts) for number in (0, 1) for restarts in (0, 1)]
    indices = [life.indices for life in lives]
    assert indices == [(), (0, 1), (1, 0), (1, 1)]
