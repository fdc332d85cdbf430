"""Remote calls survive the restart of a server and fail if it stays away."""

import os
import threading
import time

import courier
import pytest
from mortal_servers import MortalServer, serve_object

from distrl.config import LaunchConfig
from distrl.system.remote import RemoteCaller, ignore_errors_while_stopping


class Service:
    """Fails in the next `failures` calls."""

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


def test_repeated_failures_raise_after_connect_seconds(service):
    caller = _make_caller(service, patience=0.0)
    assert caller.call("add", 1, 2) == 3
    for _ in range(3):  # a success resets the time limit
        service.failures = 1
        assert caller.call("add", 1, 2) is None
        assert caller.call("add", 1, 2) == 3
    service.failures = 2
    assert caller.call("add", 1, 2) is None
    with pytest.raises(RuntimeError, match="variables has not answered.*away"):
        caller.call("add", 1, 2)


def test_failures_are_not_raised_while_stopping(service):
    service.failures = 3
    stop = threading.Event()
    stop.set()
    caller = _make_caller(service, patience=0.0, stop=stop)
    assert [caller.call("add", 1, 2) for _ in range(3)] == [None] * 3


class Sleeper:
    """Answers at once or after a delay."""

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
    """Calls until there is a result; returns it and the seconds that it took."""
    began = time.monotonic()
    while (result := caller.call(*call)) is None:
        assert time.monotonic() - began < 20
    return result, time.monotonic() - began


def test_pending_call_fails_at_once_when_server_dies(sleeper):
    caller = _make_caller(courier.Client(sleeper.address))
    first = caller.call("pid")
    threading.Timer(0.3, sleeper.kill).start()
    began = time.monotonic()
    assert caller.call("sleep", 50.0) is None
    assert time.monotonic() - began < 20
    # Enough refusals for gRPC to back off for seconds.
    for _ in range(20):
        assert caller.call("pid") is None
    sleeper.start()
    second, seconds = _await_result(caller, "pid")
    assert second != first
    assert seconds < 2


def test_call_to_frozen_server_times_out(sleeper):
    caller = _make_caller(courier.Client(sleeper.address), timeout=0.5)
    first = caller.call("pid")
    sleeper.freeze()
    began = time.monotonic()
    assert caller.call("pid") is None
    assert 0.4 < time.monotonic() - began < 20
    sleeper.thaw()
    assert _await_result(caller, "pid")[0] == first


def test_stopping_run_does_not_wait_for_frozen_server(sleeper):
    stop = threading.Event()
    caller = _make_caller(courier.Client(sleeper.address), stop=stop)
    sleeper.freeze()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    assert caller.call("pid") is None
    assert time.monotonic() - began < 10


def test_wait_limit_is_spent_once_on_frozen_server(sleeper):
    caller = _make_caller(courier.Client(sleeper.address), wait=0.3)
    first = caller.call("pid")
    sleeper.freeze()
    began = time.monotonic()
    for _ in range(50):
        assert caller.call("pid") is None
    assert time.monotonic() - began < 8
    sleeper.thaw()
    assert _await_result(caller, "pid")[0] == first
    # It is killed during a call and restarted at the same address.
    sleeper.freeze()
    assert caller.call("pid") is None
    sleeper.kill()
    sleeper.start()
    second, seconds = _await_result(caller, "pid")
    assert second != first
    assert seconds < 2


def test_only_error_shortly_before_stop_is_ignored():
    stop = threading.Event()
    with pytest.raises(RuntimeError), ignore_errors_while_stopping(stop):
        raise RuntimeError("Socket closed")
    threading.Timer(0.1, stop.set).start()
    with ignore_errors_while_stopping(stop):
        raise RuntimeError("Socket closed")
