"""The publisher sends the newest params, also to a restarted service."""

import threading
import time

import courier
import numpy as np
import pytest
from mortal_servers import MortalServer, serve_object
from real_services import Services, wait_until

from distrl.config import ActorConfig, Config, LaunchConfig
from distrl.learner.publisher import Publisher
from distrl.variables import VariableClient, VariableService


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


def test_waiting_snapshot_is_replaced_by_a_newer_one(stop):
    services = Services()
    service = services.serve(VariableService())
    publisher = Publisher(service, Config(), stop)
    for step in range(1, 200):
        publisher.put(step, ({}, {}))
    publisher.close(5)
    version, learner_steps = service.fetch(0)[:2]
    assert learner_steps == 199
    assert version <= 199
    services.close()


def test_publications_are_limited_by_the_fetch_period(stop):
    """Not more than actors can fetch, but the newest is sent at the end."""
    services = Services()
    service = services.serve(VariableService())
    config = Config(actor=ActorConfig(fetch_seconds=3600.0))
    publisher = Publisher(service, config, stop)
    publisher.put(1, ({}, {}))
    wait_until(lambda: service.newest_version() == 1)
    for step in range(2, 100):
        publisher.put(step, ({}, {}))
    assert service.newest_version() == 1
    publisher.close(5)
    version, learner_steps = service.fetch(0)[:2]
    assert (version, learner_steps) == (2, 99)
    services.close()


def test_restarted_service_and_its_clients_get_the_newest_params(stop):
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
    # No new snapshot: the publisher notices the restart by itself.
    newcomer = VariableClient(service, config, stop)
    began = time.monotonic()
    again = newcomer.await_first()
    assert time.monotonic() - began < 5
    assert again.version == first.version == 1
    assert (again.learner_steps, again.params["w"]) == (1, 1.0)
    # The same version as before, with other params.
    server.kill()
    publisher.put(2, ({"w": np.float32(2)}, {}))
    server.start()
    wait_until(lambda: client.latest().learner_steps == 2)
    assert client.latest().version == 1
    assert client.latest().params["w"] == 2.0
    publisher.close(5)
    server.kill()
