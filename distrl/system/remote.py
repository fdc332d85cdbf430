"""Remote calls that tolerate the restart of a server."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from distrl.config import LaunchConfig
from distrl.types import StopSignal

# How long a call may still wait once the run stops, and by how much a server may end
# before its clients learn of the stop.
_FAREWELL_SECONDS = 1.0
_SLICE_SECONDS = 0.1


def is_listening(address: str, timeout: float) -> bool:
    """Returns whether `host:port` accepts a connection within `timeout` seconds."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout).close()
    except OSError:
        return False
    return True


class RemoteCaller:
    """Calls methods of one node, and tolerates its absence for a while.

    A call fails at once if its server dies. The next call reconnects, but only once the
    port accepts connections: gRPC backs off for seconds after a refused one.
    """

    def __init__(
        self,
        client: Any,
        node: str,
        config: LaunchConfig,
        stop: StopSignal,
        wait_seconds: float | None = None,
    ):
        """Takes a Courier client of the node, or the object; connects when called.

        Once `stop` is set, calls soon return None. `wait_seconds`, None for the time
        limit of a call, is how long `call` waits for an answer; until a late answer
        arrives, to be dropped, calls return None at once.
        """
        self._node = node
        self._timeout = config.rpc_seconds
        self._patience = config.patience_seconds
        self._stop = stop
        self._wait = self._timeout if wait_seconds is None else wait_seconds
        self._failing_since: float | None = None
        # Of a remote client, only the address and the type are used.
        self._given = client
        self._client: Any = None
        self._overdue: futures.Future | None = None

    def call(self, method: str, *args: Any) -> Any:
        """Returns the method's result, or None if the call failed this time.

        Raises:
          RuntimeError: calls have failed for `LaunchConfig.patience_seconds`.
        """
        try:
            result = self._call(method, args)
        except Exception as error:  # Courier's errors share no base class.
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if self._stop.is_set():
                return None
            if now - self._failing_since > self._patience:
                raise RuntimeError(
                    f"{self._node} has not answered for {self._patience:.0f} s; "
                    f"the last error was: {error}"
                ) from error
            if not isinstance(error, TimeoutError):
                self._stop.wait(_SLICE_SECONDS)
            return None
        self._failing_since = None
        return result

    def _call(self, method: str, args: tuple[Any, ...]) -> Any:
        if not hasattr(self._given, "futures"):
            return getattr(self._given, method)(*args)
        if self._overdue is not None:
            if not self._overdue.done():
                raise TimeoutError("an earlier call has not been answered")
            if self._overdue.exception() is not None:
                self._client = None
            self._overdue = None
        if self._client is None:
            address = self._given.address
            if not is_listening(address, _FAREWELL_SECONDS):
                raise ConnectionError(f"nothing listens at {address}")
            self._client = type(self._given)(
                address, call_timeout=self._timeout, wait_for_ready=False
            )
        future = getattr(self._client.futures, method)(*args)
        self._await(future)
        if future.exception() is not None:
            self._client = None
        return future.result()

    def _await(self, future: futures.Future) -> None:
        """Raises TimeoutError when the call is not answered in time."""
        end = time.monotonic() + self._wait
        while not self._stop.is_set() and time.monotonic() < end:
            if futures.wait([future], _SLICE_SECONDS).done:
                return
        if self._stop.is_set():
            futures.wait([future], _FAREWELL_SECONDS)
        if future.done():
            return
        if self._stop.is_set():
            # The client's destructor waits for calls that were not cancelled.
            future.cancel()
        else:
            self._overdue = future
        raise TimeoutError("the call was not answered in time")


@contextlib.contextmanager
def ignore_errors_while_stopping(stop: StopSignal) -> Iterator[None]:
    """Suppresses a RuntimeError if `stop` is set within a second of it.

    When a run stops, a server may end before its clients.
    """
    try:
        yield
    except RuntimeError:
        if not stop.wait(_FAREWELL_SECONDS):
            raise
