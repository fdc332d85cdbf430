"""Remote calls survive a restart of their server, and fail after a while."""

import os
import threading
import time

import courier
import pytest
from mortal_servers import MortalServer, serve_object

from distrl.config import LaunchConfig
from distrl.system.remote import RemoteCaller, ignore_errors_while_stopping


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


def _make_caller(client, patience=60.0, stop=None, wait=None, timeout=60.0):
    config = LaunchConfig(
        silent_seconds=0.0, connect_seconds=patience, rpc_seconds=timeout
    )
    return RemoteCaller(client, "variables", config, stop or threading.Event(), wait)


def test_calls_go_through_courier(service):
    server = courier.Server("service", None)
    server.Bind("add", service.add)
    server.Start()
    service.failures = 1
    caller = _make_caller(courier.Client(server.address))
    assert caller.call("add", 1, 2) is None
    assert caller.call("add", 1, 2) == 3
    server.Stop()
    server.Join()


def test_calls_of_an_object_fail_for_a_while_and_then_raise(service):
    caller = _make_caller(service, patience=0.0)
    assert caller.call("add", 1, 2) == 3
    for _ in range(3):  # a success starts the patience again
        service.failures = 1
        assert caller.call("add", 1, 2) is None
        assert caller.call("add", 1, 2) == 3
    service.failures = 2
    assert caller.call("add", 1, 2) is None
    with pytest.raises(RuntimeError, match="variables has not answered.*away"):
        caller.call("add", 1, 2)


def test_a_stopping_run_raises_nothing(service):
    service.failures = 3
    stop = threading.Event()
    stop.set()
    caller = _make_caller(service, patience=0.0, stop=stop)
    assert [caller.call("add", 1, 2) for _ in range(3)] == [None] * 3


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


def _await_result(caller, *call):
    """Calls until there is a result; returns it and how long that took."""
    began = time.monotonic()
    while (result := caller.call(*call)) is None:
        assert time.monotonic() - began < 20
    return result, time.monotonic() - began


def test_a_call_under_way_fails_at_once_when_its_server_dies(sleeper):
    caller = _make_caller(courier.Client(sleeper.address))
    first = caller.call("pid")
    threading.Timer(0.3, sleeper.kill).start()
    began = time.monotonic()
    assert caller.call("sleep", 50.0) is None
    assert time.monotonic() - began < 5
    # Enough refusals for gRPC to back off for seconds.
    for _ in range(20):
        assert caller.call("pid") is None
    sleeper.start()
    second, seconds = _await_result(caller, "pid")
    assert second != first
    assert seconds < 2


def test_a_server_that_was_restarted_meanwhile_answers_soon(sleeper):
    caller = _make_caller(courier.Client(sleeper.address))
    for _ in range(3):
        first = caller.call("pid")
        sleeper.kill()
        sleeper.start()
        second, seconds = _await_result(caller, "pid")
        assert second != first
        assert seconds < 2


def test_a_server_that_stays_away_is_given_up(sleeper):
    caller = _make_caller(courier.Client(sleeper.address), patience=0.5)
    sleeper.kill()
    with pytest.raises(RuntimeError, match="variables has not answered for 0 s"):
        _await_result(caller, "pid")


def test_a_frozen_server_costs_the_time_limit_of_a_call(sleeper):
    caller = _make_caller(courier.Client(sleeper.address), timeout=0.5)
    first = caller.call("pid")
    sleeper.freeze()
    began = time.monotonic()
    assert caller.call("pid") is None
    assert 0.4 < time.monotonic() - began < 5
    sleeper.thaw()
    assert _await_result(caller, "pid")[0] == first


def test_a_stopping_run_does_not_wait_for_a_frozen_server(sleeper):
    stop = threading.Event()
    caller = _make_caller(courier.Client(sleeper.address), stop=stop)
    sleeper.freeze()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    assert caller.call("pid") is None
    assert time.monotonic() - began < 10


def test_a_caller_that_does_not_wait_loses_its_limit_once_to_a_frozen_server(sleeper):
    caller = _make_caller(courier.Client(sleeper.address), wait=0.3)
    first = caller.call("pid")
    sleeper.freeze()
    began = time.monotonic()
    for _ in range(50):
        assert caller.call("pid") is None
    assert time.monotonic() - began < 2
    sleeper.thaw()
    assert _await_result(caller, "pid")[0] == first
    # It dies with a call under way, and another one is at its address.
    sleeper.freeze()
    assert caller.call("pid") is None
    sleeper.kill()
    sleeper.start()
    second, seconds = _await_result(caller, "pid")
    assert second != first
    assert seconds < 2


def test_an_error_shortly_before_the_stop_is_ignored():
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with ignore_errors_while_stopping(stop):
        raise RuntimeError("Socket closed")
    timer.join()


def test_an_error_while_the_run_goes_on_is_raised():
    with (
        pytest.raises(RuntimeError, match="Socket closed"),
        ignore_errors_while_stopping(threading.Event()),
    ):
        raise RuntimeError("Socket closed")
