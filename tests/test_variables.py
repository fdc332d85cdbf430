"""The variable service, its relays and their clients: payloads, age and restarts."""

import random
import threading

import courier
import numpy as np
import pytest
from clocks import Clock
from mortal_servers import MortalServer, serve_object, serve_relay
from real_services import WatchedVariables, publish, wait_until

from distrl.config import ActorConfig, Config, LaunchConfig, VariablesConfig
from distrl.learner.publisher import Publisher
from distrl.variables import (
    Follower,
    Update,
    VariableClient,
    VariableRelay,
    VariableService,
    find_source,
)

CONFIG = Config(
    actor=ActorConfig(fetch_seconds=0.01), launch=LaunchConfig(report_seconds=0.05)
)


@pytest.fixture
def clock(monkeypatch):
    """The clock of services, relays and clients."""
    clock = Clock(100.0)
    time = type("time", (), {"monotonic": clock})
    monkeypatch.setattr("distrl.variables.time", time)
    return clock


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


def test_published_params_arrive_bit_exact(services, stop):
    service = services.serve(VariableService())
    params = {"linear": {"w": np.arange(6, dtype=np.float32).reshape(2, 3) / 7}}
    state = {"norm": {"mean": np.float32(0.1)}}
    publisher = Publisher(service, CONFIG, stop)
    publisher.put(12, (params, state))
    publisher.close(5)
    client = VariableClient(service, CONFIG, stop)
    snapshot = client.await_first()
    assert (snapshot.version, snapshot.learner_steps) == (1, 12)
    np.testing.assert_array_equal(snapshot.params["linear"]["w"], params["linear"]["w"])
    assert snapshot.network_state["norm"]["mean"] == np.float32(0.1)
    # What is unchanged is not sent again.
    assert client.fetch() is client.latest() is snapshot


def test_await_first_returns_none_once_stopped(stop):
    stop.set()
    assert VariableClient(VariableService(), CONFIG, stop).await_first() is None


def test_empty_service_or_relay_has_version_0_without_payload(stop):
    service = VariableService()
    relay = VariableRelay(service, CONFIG, stop)
    relay._refresh()
    for node in (service, relay):
        assert node.fetch(7, "an incarnation before")[:3] == (0, 0, None)
        assert node.newest_version() == 0


def test_payload_is_sent_only_with_newer_snapshots():
    service = VariableService()
    assert service.publish(10, b"a") == 1
    *newest, incarnation, age = service.fetch(0)
    assert (newest, age) == ([1, 10, b"a"], 0.0)
    assert service.fetch(1, incarnation) == (1, 10, None, incarnation, 0.0)
    assert service.publish(20, b"b") == 2
    assert service.fetch(1, incarnation) == (2, 20, b"b", incarnation, 0.0)
    # A version of another incarnation is another snapshot.
    assert service.fetch(2, "an incarnation before") == service.fetch(0)


class Slow:
    """A source that takes two seconds to give snapshots that are three seconds old."""

    def __init__(self, clock):
        self.service = VariableService()
        self.clock = clock

    def fetch(self, version, incarnation):
        self.clock.now += 2.0
        return (*self.service.fetch(version, incarnation)[:4], 3.0)


def test_age_includes_request_time_and_empty_source_gives_none(clock, stop):
    source = Slow(clock)
    follower = Follower(source, "relay/1", CONFIG, stop)
    assert follower.ask() is None
    source.service.publish(5, b"a")
    incarnation = source.service.fetch(0)[3]
    assert follower.ask() == Update(1, 5, b"a", incarnation, 102.0 - 3.0)
    assert follower.ask() == Update(1, 5, None, incarnation, 104.0 - 3.0)
    source.service = VariableService()
    assert follower.ask() is None
    source.service.publish(6, b"b")
    assert follower.ask()[:3] == (1, 6, b"b")


def test_failing_source_is_an_error_with_its_name(stop):
    class Broken:
        def fetch(self, version, incarnation):
            raise ValueError("no")

    launch = LaunchConfig(silent_seconds=0.0, connect_seconds=0.0)
    follower = Follower(Broken(), "relay/1", Config(launch=launch), stop)
    assert follower.ask() is None
    with pytest.raises(RuntimeError, match="relay/1 has not answered"):
        follower.ask()


def test_relay_serves_its_snapshot_until_the_next_fetch(stop, clock):
    service = VariableService()
    relay = VariableRelay(service, CONFIG, stop)
    service.publish(10, b"a")
    relay._refresh()
    clock.now += 0.25
    *newest, incarnation, age = relay.fetch(0)
    assert (newest, age) == ([1, 10, b"a"], 0.25)
    assert incarnation == service.fetch(0)[3]
    service.publish(20, b"b")
    assert relay.fetch(1, incarnation) == (1, 10, None, incarnation, 0.25)
    relay._refresh()
    assert relay.fetch(1, incarnation) == (2, 20, b"b", incarnation, 0.0)
    # An unchanged snapshot is fetched without its payload, and its age is 0 again.
    clock.now += 1.0
    relay._refresh()
    assert relay.fetch(0, incarnation) == (2, 20, b"b", incarnation, 0.0)


def test_clients_are_spread_over_the_relays():
    assert find_source(Config(), 3) == "variables"
    config = Config(variables=VariablesConfig(relays=2))
    sources = [find_source(config, client) for client in range(4)]
    assert sources == ["relay/0", "relay/1", "relay/0", "relay/1"]


def test_service_sends_each_version_once_per_relay(services, stop):
    root = WatchedVariables()
    relays = [
        VariableRelay(services.serve(root), CONFIG, services.stop) for _ in range(2)
    ]
    running = [services.start(relay.run) for relay in relays]
    sources = [services.serve(relay) for relay in relays]
    clients = [VariableClient(sources[i % 2], CONFIG, stop) for i in range(6)]
    for step in (1, 2, 3):
        publish(root, step, {"w": np.float32(step)})
        for client in clients:
            wait_until(lambda c=client, s=step: getattr(c.fetch(), "version", 0) == s)
            assert client.latest().params["w"] == step
    assert sorted(root.answered) == [(0, 1)] * 2 + [(1, 2)] * 2 + [(2, 3)] * 2
    services.stop.set()
    for future in running:
        assert future.result(10) is None


@pytest.mark.parametrize("relays", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_staleness_stays_within_usual_staleness_seconds(stop, clock, relays, seed):
    """The bound holds for random phases of learner, relay and client."""
    draw = random.Random(seed)
    config = Config(
        actor=ActorConfig(fetch_seconds=0.1), variables=VariablesConfig(relays=relays)
    )
    service = VariableService()
    relay = VariableRelay(service, config, stop)
    client = VariableClient(relay if relays else service, config, stop)
    published = {}
    due = {"relay": draw.random() / 10, "client": draw.random() / 10, "learner": 0.0}
    held = None
    clock.now = 0.0
    while clock.now < 20.0:
        who = min(due, key=due.get)
        clock.now = due[who]
        if held is not None:
            # Staleness is largest just before the next fetch.
            staleness = client.staleness()
            assert staleness <= config.usual_staleness_seconds + 1e-9
            # No newer version existed at the time from which staleness counts.
            newer = published.get(held.version + 1, float("inf"))
            assert newer >= clock.now - staleness - 1e-9
        if who == "learner":
            published[publish(service, 0, {})] = clock.now
            due[who] += draw.expovariate(5.0)
        elif who == "relay":
            relay._refresh()
            due[who] += 0.1
        else:
            held = client.fetch()
            due[who] += 0.1
    assert len(published) > 50


def test_clients_survive_kills_of_relay_and_service(stop):
    """Both are real processes; no client goes back to older params."""
    root = MortalServer(serve_object, VariableService)
    root.start()
    relay = MortalServer(serve_relay, CONFIG, root.address)
    relay.start()
    publisher = Publisher(courier.Client(root.address, call_timeout=5), CONFIG, stop)
    client = VariableClient(courier.Client(relay.address, call_timeout=5), CONFIG, stop)
    publisher.put(1, ({"w": np.float32(1)}, {}))
    first = client.await_first()
    client.follow()
    # While the relay is dead, its clients keep the last snapshot.
    relay.kill()
    publisher.put(2, ({"w": np.float32(2)}, {}))
    assert client.latest() is first
    relay.start()
    wait_until(lambda: client.latest().learner_steps == 2)
    # The restarted service begins at version 1, with the snapshot published last.
    assert client.latest().version == 2
    root.kill()
    root.start()
    wait_until(lambda: client.latest().version == 1)
    assert client.latest().params["w"] == 2.0
    # Kill both at once.
    relay.kill()
    root.kill()
    publisher.put(3, ({"w": np.float32(3)}, {}))
    relay.start()
    root.start()
    wait_until(lambda: client.latest().learner_steps == 3)
    publisher.close(5)
    relay.kill()
    root.kill()
