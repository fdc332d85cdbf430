"""A check in a child: its answer, its refusal and its failure come back."""

import os

import pytest

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.checking_child import check_in_child


@pytest.fixture
def channel():
    near, far = Channel.pair()
    yield near
    near.close()
    far.close()


def test_a_check_answers_from_a_process_of_its_own(channel):
    assert check_in_child(channel, os.getpid) != os.getpid()


def test_a_refusal_is_one_here_too(channel):
    def refuse():
        raise ConfigError("seed = x: no")

    with pytest.raises(ConfigError, match="seed = x: no"):
        check_in_child(channel, refuse)


def test_a_failure_comes_with_its_traceback(channel):
    def fail():
        raise KeyError("what is missing")

    with pytest.raises(RuntimeError, match="KeyError: 'what is missing'"):
        check_in_child(channel, fail)


def test_a_check_that_takes_its_process_down_is_a_failure(channel):
    with pytest.raises(RuntimeError, match="did not end"):
        check_in_child(channel, lambda: os._exit(3))
