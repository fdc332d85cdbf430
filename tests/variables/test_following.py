"""A follower says what is newer, and counts the age of an answer from its question."""

import threading

import pytest
from clocks import Clock

from distrl.config import Config
from distrl.variables import VariableService
from distrl.variables.following import Follower, News


class Slow:
    """A source two seconds away, whose answers are three seconds old."""

    def __init__(self, service, clock):
        self.service = service
        self.clock = clock

    def fetch(self, version, life):
        self.clock.now += 2.0
        return (*self.service.fetch(version, life)[:4], 3.0)


@pytest.fixture
def clock():
    return Clock(100.0)


def follow(source, clock):
    return Follower(source, "relay/1", Config(), threading.Event(), clock)


def test_the_way_counts_into_the_age(clock):
    service = VariableService()
    follower = follow(Slow(service, clock), clock)
    service.publish(5, b"a")
    life = service.fetch(0)[3]
    assert follower.ask() == News(1, 5, b"a", life, 100.0 - 3.0)
    assert follower.ask() == News(1, 5, None, life, 102.0 - 3.0)


def test_nothing_published_is_no_news(clock):
    follower = follow(VariableService(), clock)
    assert follower.ask() is None


def test_an_empty_life_of_the_service_confirms_nothing(clock):
    lives = [VariableService(), VariableService()]
    lives[0].publish(5, b"a")
    source = Slow(lives[0], clock)
    follower = follow(source, clock)
    follower.ask()
    source.service = lives[1]
    assert follower.ask() is None
    lives[1].publish(6, b"b")
    assert follower.ask()[:3] == (1, 6, b"b")


def test_an_answer_that_fails_is_none_and_for_long_an_error_with_the_node(clock):
    class Broken:
        def fetch(self, version, life):
            raise ValueError("no")

    follower = follow(Broken(), clock)
    assert follower.ask() is None
    follower._caller._patience = 0.0
    with pytest.raises(RuntimeError, match="relay/1 has not answered"):
        follower.ask()
