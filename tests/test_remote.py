"""A node that is away is asked again, but not for ever."""

import threading

import pytest

from distrl.remote import RemoteCaller


def _fail() -> None:
    raise ValueError("away")


def test_an_answer_comes_through():
    caller = RemoteCaller("variables", 1.0, threading.Event())
    assert caller.call(lambda a, b: a + b, 1, 2) == 3


def test_a_failure_is_none_and_then_an_error_that_names_the_node():
    caller = RemoteCaller("variables", 0.0, threading.Event())
    assert caller.call(_fail) is None
    with pytest.raises(RuntimeError, match="variables has not answered.*away"):
        caller.call(_fail)


def test_an_answer_starts_the_patience_again():
    caller = RemoteCaller("variables", 0.0, threading.Event())
    assert caller.call(_fail) is None
    assert caller.call(lambda: 1) == 1
    assert caller.call(_fail) is None


def test_a_stopping_run_raises_nothing():
    stop = threading.Event()
    stop.set()
    caller = RemoteCaller("variables", 0.0, stop)
    assert [caller.call(_fail) for _ in range(3)] == [None] * 3
