"""Servers at fixed addresses: whether they listen, and calls that outlive a restart."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from distrl.config import LaunchConfig
from distrl.types import StopSignal

# How long a call may wait for its answer once the run stops, and how long a server
# may end before its clients hear of the stop.
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
    """Calls the methods of one node and tolerates its absence for a while.

    A call fails as soon as its server dies. The next call opens a new connection, but
    only once the port accepts: gRPC backs off for seconds after a refused connection.
    """

    def __init__(
        self,
        client: Any,
        node: str,
        config: LaunchConfig,
        stop: StopSignal,
        wait_seconds: float | None = None,
    ):
        """Does not connect yet.

        Args:
          client: a Courier client of the node, or the object itself.
          node: the name of the node, for the error.
          config: its time limits: of one call, and of calls failing in a row.
          stop: once it is set, a call returns None soon.
          wait_seconds: how long `call` waits for an answer; None is the time limit of
            a call. A later answer is dropped, and until it comes calls return None
            without waiting.
        """
        self._node = node
        self._timeout = config.rpc_seconds
        self._patience = config.patience_seconds
        self._stop = stop
        self._wait = self._timeout if wait_seconds is None else wait_seconds
        self._failing_since: float | None = None
        # Used for its address and its type alone if it is a remote client.
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
        except Exception as error:  # Courier's errors have no common type.
            now = time.monotonic()
            if self._failing_since is None:
                self._failing_since = now
            if self._stop.is_set():
                return None
            if now - self._failing_since > self._patience:
                raise RuntimeError(
                    f"{self._node} has not answered for {self._patience:.0f} s; "
                    f"the last error was: {error}"
                ) from error
            if not isinstance(error, _OverdueError):
                self._stop.wait(_SLICE_SECONDS)
            return None
        self._failing_since = None
        return result

    def _call(self, method: str, args: tuple[Any, ...]) -> Any:
        if not hasattr(self._given, "futures"):
            return getattr(self._given, method)(*args)
        if self._overdue is not None:
            if not self._overdue.done():
                raise _OverdueError("an earlier call has not been answered")
            if self._overdue.exception() is not None:
                self._client = None
            self._overdue = None
        if self._client is None:
            self._client = self._connect()
        future = getattr(self._client.futures, method)(*args)
        try:
            return self._await(future)
        except _OverdueError:
            raise
        except Exception:
            self._client = None
            raise

    def _connect(self) -> Any:
        address = self._given.address
        if not is_listening(address, _FAREWELL_SECONDS):
            raise ConnectionError(f"nothing listens at {address}")
        return type(self._given)(
            address, call_timeout=self._timeout, wait_for_ready=False
        )

    def _await(self, future: futures.Future) -> Any:
        end = time.monotonic() + self._wait
        is_stopping = False
        while True:
            with contextlib.suppress(futures.TimeoutError):
                return future.result(timeout=_SLICE_SECONDS)
            if self._stop.is_set() and not is_stopping:
                is_stopping = True
                end = min(end, time.monotonic() + _FAREWELL_SECONDS)
            if time.monotonic() < end:
                continue
            if is_stopping:
                # The client's destructor waits for calls that are not cancelled.
                future.cancel()
            else:
                self._overdue = future
            raise _OverdueError("the call was not answered in time")


class _OverdueError(Exception):
    """The call is still under way, but nobody waits for it any longer."""


@contextlib.contextmanager
def ignore_errors_while_stopping(stop: StopSignal) -> Iterator[None]:
    """Suppresses a RuntimeError if the run stops: a server may end before its clients.

    Args:
      stop: may be set up to a second after the error.

    Raises:
      RuntimeError: the block raised it, and the run goes on.
    """
    try:
        yield
    except RuntimeError:
        if not stop.wait(_FAREWELL_SECONDS):
            raise
