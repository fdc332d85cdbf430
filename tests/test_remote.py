"""A node that is away is asked again, but not for ever."""

import socket
import threading
import time

import courier
import pytest

from distrl.remote import RemoteCaller, forgive_at_the_end


class Service:
    """Fails as often as it is told to."""

    failures = 0

    def add(self, a: int, b: int) -> int:
        if self.failures:
            self.failures -= 1
            raise ValueError("away")
        return a + b


@pytest.fixture
def service():
    return Service()


def _make_caller(client, patience=0.0, stop=None):
    return RemoteCaller(client, "variables", patience, stop or threading.Event())


def test_an_answer_comes_through(service):
    assert _make_caller(service).call("add", 1, 2) == 3


def test_an_answer_comes_through_courier(service):
    server = courier.Server("service", None)
    server.Bind("add", service.add)
    server.Start()
    client = courier.Client(server.address, call_timeout=10)
    service.failures = 1
    caller = _make_caller(client)
    assert caller.call("add", 1, 2) is None
    assert caller.call("add", 1, 2) == 3
    server.Stop()
    server.Join()


def test_a_failure_is_none_and_then_an_error_that_names_the_node(service):
    service.failures = 2
    caller = _make_caller(service)
    assert caller.call("add", 1, 2) is None
    with pytest.raises(RuntimeError, match="variables has not answered.*away"):
        caller.call("add", 1, 2)


def test_an_answer_starts_the_patience_again(service):
    caller = _make_caller(service)
    for _ in range(3):
        service.failures = 1
        assert caller.call("add", 1, 2) is None
        assert caller.call("add", 1, 2) == 3


def test_a_stopping_run_raises_nothing(service):
    service.failures = 3
    stop = threading.Event()
    stop.set()
    caller = _make_caller(service, stop=stop)
    assert [caller.call("add", 1, 2) for _ in range(3)] == [None] * 3


def test_a_stopping_run_does_not_wait_for_a_server_that_has_gone():
    with socket.socket() as held:
        # Bound but not listening: nobody will ever answer there.
        held.bind(("localhost", 0))
        client = courier.Client(f"localhost:{held.getsockname()[1]}", call_timeout=60)
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        assert _make_caller(client, 60.0, stop).call("fetch", 0) is None
        assert time.monotonic() - began < 10


def test_a_server_that_ends_before_the_node_hears_of_the_stop_is_no_failure():
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with forgive_at_the_end(stop):
        raise RuntimeError("Socket closed")
    timer.join()


def test_a_server_that_is_lost_is_a_failure():
    began = time.monotonic()
    with (
        pytest.raises(RuntimeError, match="Socket closed"),
        forgive_at_the_end(threading.Event()),
    ):
        raise RuntimeError("Socket closed")
    assert time.monotonic() - began < 5.0
