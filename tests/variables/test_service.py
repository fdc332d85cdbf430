"""The service sends a payload only if it is newer; a follower computes its age."""

import threading

import pytest
from clocks import Clock

from distrl.config import Config, LaunchConfig
from distrl.variables import VariableService
from distrl.variables.service import Follower, Update


def test_an_empty_service_has_version_0_and_no_payload():
    assert VariableService().fetch(0)[:3] == (0, 0, None)
    assert VariableService().newest_version() == 0


def test_a_newer_snapshot_comes_with_its_payload_and_the_same_one_without():
    service = VariableService()
    assert service.publish(10, b"a") == 1
    *newest, incarnation, age = service.fetch(0)
    assert (newest, age) == ([1, 10, b"a"], 0.0)
    assert service.fetch(1, incarnation) == (1, 10, None, incarnation, 0.0)
    assert service.publish(20, b"b") == 2
    assert service.fetch(1, incarnation) == (2, 20, b"b", incarnation, 0.0)


def test_a_restarted_service_is_empty_until_the_next_publication():
    service = VariableService()
    assert service.fetch(7, "an incarnation before")[:3] == (0, 0, None)


def test_equal_versions_of_two_incarnations_differ():
    incarnations = [VariableService(), VariableService()]
    for number, service in enumerate(incarnations):
        service.publish(number, b"%d" % number)
    first = incarnations[0].fetch(0)[3]
    assert incarnations[0].fetch(1, first)[2] is None
    assert incarnations[1].fetch(1, first)[:3] == (1, 1, b"1")


class Slow:
    """A source two seconds away, whose replies are three seconds old."""

    def __init__(self, service, clock):
        self.service = service
        self.clock = clock

    def fetch(self, version, incarnation):
        self.clock.now += 2.0
        return (*self.service.fetch(version, incarnation)[:4], 3.0)


@pytest.fixture
def clock():
    return Clock(100.0)


def follow(source, clock, config=None):
    return Follower(source, "relay/1", config or Config(), threading.Event(), clock)


def test_the_network_counts_into_the_age(clock):
    service = VariableService()
    follower = follow(Slow(service, clock), clock)
    service.publish(5, b"a")
    incarnation = service.fetch(0)[3]
    assert follower.ask() == Update(1, 5, b"a", incarnation, 100.0 - 3.0)
    assert follower.ask() == Update(1, 5, None, incarnation, 102.0 - 3.0)


def test_an_empty_service_confirms_nothing(clock):
    source = Slow(VariableService(), clock)
    follower = follow(source, clock)
    assert follower.ask() is None
    source.service.publish(5, b"a")
    follower.ask()
    source.service = VariableService()
    assert follower.ask() is None
    source.service.publish(6, b"b")
    assert follower.ask()[:3] == (1, 6, b"b")


def test_a_failing_source_is_named_after_a_while(clock):
    class Broken:
        def fetch(self, version, incarnation):
            raise ValueError("no")

    launch = LaunchConfig(silent_seconds=0.0, connect_seconds=0.0)
    follower = follow(Broken(), clock, Config(launch=launch))
    assert follower.ask() is None
    with pytest.raises(RuntimeError, match="relay/1 has not answered"):
        follower.ask()
