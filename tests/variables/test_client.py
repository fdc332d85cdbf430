"""Clients of the variable service, through a real Courier server."""

import threading

import courier
import numpy as np
import pytest

from distrl.config import ActorConfig, Config
from distrl.learner.publisher import Publisher
from distrl.variables import VariableClient, VariableService


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


def test_published_params_arrive_bit_exact(service, stop):
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


def test_unchanged_snapshot_is_the_same_object(service, stop):
    Publisher(service, CONFIG, stop).put(1, ({}, {}))
    client = VariableClient(service, CONFIG, stop)
    first = client.await_first()
    assert client.fetch() is first
    assert client.latest() is first


def test_following_client_gets_the_newest_snapshot(service, stop):
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


def test_latest_before_await_first_is_an_error(service, stop):
    with pytest.raises(RuntimeError, match="await_first"):
        VariableClient(service, CONFIG, stop).latest()


def test_await_first_returns_none_once_stopped(service, stop):
    stop.set()
    assert VariableClient(service, CONFIG, stop).await_first() is None
