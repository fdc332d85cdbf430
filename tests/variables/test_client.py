"""Parameters travel through a real Courier server, to the bit."""

import threading
import time

import courier
import numpy as np
import pytest
from mortal_servers import MortalServer, serve_object
from real_services import wait_until

from distrl.config import ActorConfig, Config, LaunchConfig
from distrl.variables import Publisher, VariableClient, VariableService


@pytest.fixture
def service():
    server = courier.Server("variables", None)
    held = VariableService()
    for name in ("publish", "fetch", "newest_version"):
        server.Bind(name, getattr(held, name))
    server.Start()
    yield courier.Client(server.address, call_timeout=5)
    server.Stop()
    server.Join()


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


CONFIG = Config(actor=ActorConfig(fetch_seconds=0.01))


def test_a_publication_arrives_bit_exact(service, stop):
    params = {"linear": {"w": np.arange(6, dtype=np.float32).reshape(2, 3) / 7}}
    state = {"norm": {"mean": np.float32(0.1)}}
    publisher = Publisher(service, CONFIG, stop)
    publisher.put(12, (params, state))
    publisher.close(5)
    snapshot = VariableClient(service, CONFIG, stop).await_first()
    assert (snapshot.version, snapshot.learner_steps) == (1, 12)
    np.testing.assert_array_equal(snapshot.params["linear"]["w"], params["linear"]["w"])
    np.testing.assert_array_equal(
        snapshot.network_state["norm"]["mean"], np.float32(0.1)
    )


def test_unchanged_parameters_are_the_same_object(service, stop):
    Publisher(service, CONFIG, stop).put(1, ({}, {}))
    client = VariableClient(service, CONFIG, stop)
    first = client.await_first()
    assert client.fetch() is first
    assert client.latest() is first


def test_a_follower_sees_the_newest(service, stop):
    publisher = Publisher(service, CONFIG, stop)
    publisher.put(1, ({}, {}))
    client = VariableClient(service, CONFIG, stop)
    client.await_first()
    client.follow()
    publisher.put(2, ({}, {}))
    deadline = threading.Event()
    for _ in range(500):
        if client.latest().learner_steps == 2:
            break
        deadline.wait(0.01)
    assert client.latest().learner_steps == 2


def test_a_waiting_snapshot_is_replaced_by_a_newer_one(service, stop):
    publisher = Publisher(service, CONFIG, stop)
    for step in range(1, 200):
        publisher.put(step, ({}, {}))
    publisher.close(5)
    version, learner_steps = service.fetch(0)[:2]
    assert learner_steps == 199
    assert version <= 199


def test_latest_before_the_first_says_what_to_do(service, stop):
    with pytest.raises(RuntimeError, match="await_first"):
        VariableClient(service, CONFIG, stop).latest()


def test_a_stopping_client_waits_for_nothing(service, stop):
    stop.set()
    assert VariableClient(service, CONFIG, stop).await_first() is None


def test_a_service_that_was_killed_is_filled_again_and_its_clients_go_on(stop):
    server = MortalServer(serve_object, VariableService)
    server.start()
    config = Config(
        actor=ActorConfig(fetch_seconds=0.01), launch=LaunchConfig(report_seconds=0.05)
    )
    service = courier.Client(server.address, call_timeout=5)
    publisher = Publisher(service, config, stop)
    client = VariableClient(service, config, stop)
    publisher.put(1, ({"w": np.float32(1)}, {}))
    first = client.await_first()
    client.follow()
    server.kill()
    server.start()
    # Nobody publishes: the publisher finds out by itself.
    newcomer = VariableClient(service, config, stop)
    began = time.monotonic()
    again = newcomer.await_first()
    assert time.monotonic() - began < 5
    assert again.version == first.version == 1
    assert (again.learner_steps, again.params["w"]) == (1, 1.0)
    # The same number as before, and not the same parameters.
    server.kill()
    publisher.put(2, ({"w": np.float32(2)}, {}))
    server.start()
    wait_until(lambda: client.latest().learner_steps == 2)
    assert client.latest().version == 1
    assert client.latest().params["w"] == 2.0
    publisher.close(5)
    server.kill()
