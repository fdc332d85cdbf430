"""A node that is away is asked again, but not for ever."""

import os
import socket
import threading
import time

import courier
import pytest
from mortal_servers import MortalServer, serve_object

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


def _make_caller(client, patience=0.0, stop=None, wait=None):
    return RemoteCaller(client, "variables", patience, stop or threading.Event(), wait)


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
        # Listening, but nobody will ever answer there.
        held.bind(("localhost", 0))
        held.listen()
        client = courier.Client(f"localhost:{held.getsockname()[1]}", call_timeout=60)
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        assert _make_caller(client, 60.0, stop).call("fetch", 0) is None
        assert time.monotonic() - began < 10


class Sleeper:
    """Answers who it is, at once or later."""

    def pid(self) -> int:
        return os.getpid()

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


@pytest.fixture
def sleeper():
    server = MortalServer(serve_object, Sleeper)
    server.start()
    yield server
    server.kill()


def _await_answer(caller, *call):
    """Calls until there is an answer; returns it and how long that took."""
    began = time.monotonic()
    while (answer := caller.call(*call)) is None:
        assert time.monotonic() - began < 20
    return answer, time.monotonic() - began


def test_a_call_under_way_fails_at_once_when_its_server_dies(sleeper):
    caller = _make_caller(courier.Client(sleeper.address, call_timeout=60), 60.0)
    first = caller.call("pid")
    threading.Timer(0.3, sleeper.kill).start()
    began = time.monotonic()
    assert caller.call("sleep", 50.0) is None
    assert time.monotonic() - began < 5
    # Many refusals, after which gRPC would wait for seconds.
    for _ in range(20):
        assert caller.call("pid") is None
    sleeper.start()
    second, seconds = _await_answer(caller, "pid")
    assert second != first
    assert seconds < 2


def test_a_server_that_was_killed_and_is_back_already_answers_the_next_call(sleeper):
    caller = _make_caller(courier.Client(sleeper.address, call_timeout=60), 60.0)
    for _ in range(3):
        first = caller.call("pid")
        sleeper.kill()
        sleeper.start()
        assert caller.call("pid") not in (None, first)


def test_a_server_that_stays_away_is_given_up(sleeper):
    caller = _make_caller(courier.Client(sleeper.address, call_timeout=60), 0.5)
    sleeper.kill()
    with pytest.raises(RuntimeError, match="variables has not answered for 0 s"):
        _await_answer(caller, "pid")


def test_who_does_not_wait_loses_a_second_to_a_frozen_server_and_no_more(sleeper):
    client = courier.Client(sleeper.address, call_timeout=60)
    caller = _make_caller(client, 60.0, wait=0.3)
    first = caller.call("pid")
    sleeper.freeze()
    began = time.monotonic()
    for _ in range(50):
        assert caller.call("pid") is None
    assert time.monotonic() - began < 2
    sleeper.thaw()
    assert _await_answer(caller, "pid")[0] == first
    # One that dies while a call is under way is another server.
    sleeper.freeze()
    assert caller.call("pid") is None
    sleeper.kill()
    sleeper.start()
    assert caller.call("pid") not in (None, first)


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
