"""A relay answers as the service does, a fetch later, and says how old that is."""

import random
import threading

import courier
import numpy as np
import pytest
from clocks import Clock
from mortal_servers import MortalServer, serve_object, serve_relay
from real_services import Services, WatchedVariables, publish, wait_until

from distrl.config import ActorConfig, Config, LaunchConfig, VariablesConfig
from distrl.learner.publisher import Publisher
from distrl.variables import (
    VariableClient,
    VariableRelay,
    VariableService,
    find_source,
)

CONFIG = Config(
    actor=ActorConfig(fetch_seconds=0.01), launch=LaunchConfig(report_seconds=0.05)
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def services():
    started = Services()
    yield started
    started.close()


def test_an_empty_relay_answers_as_an_empty_service(stop):
    relay = VariableRelay(VariableService(), CONFIG, stop)
    assert relay.fetch(7, "an incarnation before")[:3] == (0, 0, None)
    relay._refresh()  # the service is empty, too
    assert relay.fetch(7, "an incarnation before")[:3] == (0, 0, None)


def test_a_relay_hands_on_what_it_fetched_until_it_has_fetched_again(stop, clock):
    service = VariableService()
    relay = VariableRelay(service, CONFIG, stop, clock)
    service.publish(10, b"a")
    relay._refresh()
    clock.now = 0.25
    *news, incarnation, age = relay.fetch(0)
    assert (news, age) == ([1, 10, b"a"], 0.25)
    assert incarnation == service.fetch(0)[3]
    assert relay.fetch(1, incarnation) == (1, 10, None, incarnation, 0.25)
    service.publish(20, b"b")
    assert relay.fetch(1, incarnation) == (1, 10, None, incarnation, 0.25)
    relay._refresh()
    assert relay.fetch(1, incarnation) == (2, 20, b"b", incarnation, 0.0)
    # What has not changed comes without its payload, and is fresh all the same.
    clock.now = 1.0
    relay._refresh()
    assert relay.fetch(0, incarnation) == (2, 20, b"b", incarnation, 0.0)


def test_a_restart_of_the_service_shows_through(stop, clock):
    services_in_turn = [VariableService(), VariableService()]
    services_in_turn[0].publish(10, b"a")
    relay = VariableRelay(services_in_turn[0], CONFIG, stop, clock)
    relay._refresh()
    *_, first, _ = relay.fetch(0)
    relay._follower._caller._given = services_in_turn[1]
    clock.now = 2.0
    relay._refresh()
    # The new one is empty: the old version stays, and nobody confirms it.
    assert relay.fetch(1, first) == (1, 10, None, first, 2.0)
    services_in_turn[1].publish(11, b"b")
    relay._refresh()
    assert relay.fetch(1, first)[:3] == (1, 11, b"b")


def test_clients_share_the_relays_and_the_evaluator_is_one_of_them():
    assert find_source(Config(), 3) == "variables"
    config = Config(variables=VariablesConfig(relays=2))
    sources = [find_source(config, client) for client in range(4)]
    assert sources == ["relay/0", "relay/1", "relay/0", "relay/1"]


def test_each_version_leaves_the_service_once_for_all_the_clients_of_a_relay(
    services, stop
):
    """Real servers; what the service is asked for grows with its relays alone."""
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
def test_the_bound_of_staleness(stop, clock, relays, seed):
    """Whatever the phases: a period for each who fetches, and nothing is hidden."""
    draw = random.Random(seed)
    config = Config(
        actor=ActorConfig(fetch_seconds=0.1), variables=VariablesConfig(relays=relays)
    )
    service = VariableService()
    relay = VariableRelay(service, config, stop, clock)
    client = VariableClient(
        relay if relays else service, config, stop, find_source(config, 0), clock
    )
    published = {}
    due = {"relay": draw.random() / 10, "client": draw.random() / 10, "learner": 0.0}
    held = None
    while clock.now < 20.0:
        who = min(due, key=due.get)
        clock.now = due[who]
        if held is not None:
            # Just before the next fetch it is as stale as it gets.
            staleness = client.staleness()
            assert staleness <= config.usual_staleness_seconds + 1e-9
            # When it was the newest for certain, nothing newer was there.
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


def test_a_relay_and_a_service_may_be_killed_and_the_clients_go_on(stop):
    """Both in processes of their own; nothing is said that is older than before."""
    root = MortalServer(serve_object, VariableService)
    root.start()
    relay = MortalServer(serve_relay, CONFIG, root.address)
    relay.start()
    publisher = Publisher(courier.Client(root.address, call_timeout=5), CONFIG, stop)
    client = VariableClient(
        courier.Client(relay.address, call_timeout=5), CONFIG, stop, "relay/0"
    )
    publisher.put(1, ({"w": np.float32(1)}, {}))
    first = client.await_first()
    client.follow()
    # A relay that is away costs its clients nothing but what is newer.
    relay.kill()
    publisher.put(2, ({"w": np.float32(2)}, {}))
    assert client.latest() is first
    relay.start()
    wait_until(lambda: client.latest().learner_steps == 2)
    # The restarted service begins at version 1, with what was published before.
    assert client.latest().version == 2
    root.kill()
    root.start()
    wait_until(lambda: client.latest().version == 1)
    assert client.latest().params["w"] == 2.0
    # Both at once.
    relay.kill()
    root.kill()
    publisher.put(3, ({"w": np.float32(3)}, {}))
    relay.start()
    root.start()
    wait_until(lambda: client.latest().learner_steps == 3)
    publisher.close(5)
    relay.kill()
    root.kill()
