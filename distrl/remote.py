"""Remote calls that are tried again for a while, and given up when a run stops."""

import contextlib
import copy
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from distrl.ports import LifeLine
from distrl.types import StopSignal

# How long a call may wait for its answer once the run stops, and how long before
# the stop reaches a node its servers may already have ended.
_FAREWELL_SECONDS = 1.0
_SLICE_SECONDS = 0.1


class RemoteCaller:
    """Calls methods of one node; waits for it while it is away, but not for ever.

    A call whose server dies fails within a tenth of a second, and once the server is
    back at its address the next call reaches it at once. Left to itself, gRPC would
    let the call wait for its whole time limit, and back off for seconds more.
    """

    def __init__(
        self,
        client: Any,
        node: str,
        patience_seconds: float,
        stop: StopSignal,
        wait_seconds: float | None = None,
    ):
        """Makes a caller.

        Args:
          client: a Courier client of the node, or the object itself.
          node: the name of the node called, for the error.
          patience_seconds: how long calls may fail in a row.
          stop: when set, a failing call answers None at once.
          wait_seconds: how long `call` waits for an answer; None is the client's own
            time limit. An answer that comes later is thrown away, and until then
            the next calls fail without waiting.
        """
        self._node = node
        self._patience = patience_seconds
        self._stop = stop
        self._failing_since: float | None = None
        self._connection: _Connection | _InProcess = (
            _Connection(client, stop, wait_seconds)
            if hasattr(client, "futures")
            else _InProcess(client)
        )

    def call(self, method: str, *args: Any) -> Any:
        """Returns what the method answers, or None when it failed this time.

        Raises:
          RuntimeError: it has failed for `patience_seconds`.
        """
        try:
            answer = self._connection.call(method, args)
        except Exception as error:  # Courier's errors share no type of their own.
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
            # The server refuses at once while it is away.
            if not isinstance(error, _Overdue):
                self._stop.wait(_SLICE_SECONDS)
            return None
        self._failing_since = None
        return answer


class _Overdue(Exception):
    """No answer yet; nobody waited for it any longer."""


class _InProcess:
    """Calls the object itself."""

    def __init__(self, target: Any):
        self._target = target

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        return getattr(self._target, method)(*args)


class _Connection:
    """Calls through Courier, with a new channel for each life of the server."""

    def __init__(self, client: Any, stop: StopSignal, wait_seconds: float | None):
        self._given = client  # never called, so that it never opens a channel
        self._stop = stop
        self._wait = wait_seconds
        self._line: LifeLine | None = None
        self._client: Any = None
        self._overdue: futures.Future | None = None

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """Returns the answer; raises what went wrong."""
        if self._line is not None and self._line.is_cut():
            self._disconnect()
        if self._overdue is not None:
            if not self._overdue.done():
                raise _Overdue("an earlier call is still not answered")
            self._overdue = None
        if self._line is None:
            # Channels with calls under way share their back-off with all others to
            # the same address, so there is to be no such channel: nobody calls
            # before the port accepts, and who called has dropped it by then.
            self._line = LifeLine(self._given.address)
            self._client = copy.copy(self._given)
        return self._await(getattr(self._client.futures, method)(*args))

    def _await(self, future: futures.Future) -> Any:
        assert self._line is not None
        began = time.monotonic()
        stopping_since: float | None = None
        while True:
            with contextlib.suppress(futures.TimeoutError):
                return future.result(timeout=_SLICE_SECONDS)
            now = time.monotonic()
            if self._line.is_cut():
                self._disconnect(future)
                raise ConnectionError(f"{self._given.address} was lost")
            if self._stop.is_set():
                stopping_since = now if stopping_since is None else stopping_since
                if now - stopping_since >= _FAREWELL_SECONDS:
                    # Uncancelled, it would hold up the client's destructor.
                    future.cancel()
                    raise _Overdue("no answer at the end of the run")
            if self._wait is not None and now - began >= self._wait:
                self._overdue = future
                raise _Overdue(f"no answer for {self._wait:g} s")

    def _disconnect(self, future: futures.Future | None = None) -> None:
        for call in (future, self._overdue):
            if call is not None:
                call.cancel()
        if self._line is not None:
            self._line.close()
        self._line = self._client = self._overdue = None


@contextlib.contextmanager
def forgive_at_the_end(stop: StopSignal) -> Iterator[None]:
    """Lets a lost server pass if the run is ending: a server may end first.

    Args:
      stop: waited for, for a moment; if it is not set, the error was one.

    Raises:
      RuntimeError: what the block raised.
    """
    try:
        yield
    except RuntimeError:
        if not stop.wait(_FAREWELL_SECONDS):
            raise
