"""Remote calls that are tried again for a while, and given up when a run stops."""

import contextlib
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from distrl.types import StopSignal

# How long a call may wait for its answer once the run stops, and how long before
# the stop reaches a node its servers may already have ended.
_FAREWELL_SECONDS = 1.0
_SLICE_SECONDS = 0.1
# The destructor of a Courier client waits for its calls, so these are kept.
_ABANDONED: list[Any] = []


class RemoteCaller:
    """Calls methods of one node; waits for it while it is away, but not for ever."""

    def __init__(
        self, client: Any, node: str, patience_seconds: float, stop: StopSignal
    ):
        """Makes a caller.

        Args:
          client: a Courier client of the node, or the object itself.
          node: the name of the node called, for the error.
          patience_seconds: how long calls may fail in a row.
          stop: when set, a failing call answers None at once.
        """
        self._client = client
        self._node = node
        self._patience = patience_seconds
        self._stop = stop
        self._failing_since: float | None = None

    def call(self, method: str, *args: Any) -> Any:
        """Returns what the method answers, or None when it failed this time.

        Raises:
          RuntimeError: it has failed for `patience_seconds`.
        """
        try:
            answer = self._invoke(method, args)
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
            self._stop.wait(_SLICE_SECONDS)
            return None
        self._failing_since = None
        return answer

    def _invoke(self, method: str, args: tuple[Any, ...]) -> Any:
        if not hasattr(self._client, "futures"):
            return getattr(self._client, method)(*args)
        # A plain call sits in C++ up to its time limit when the server ended first,
        # and would hold up the end of the run.
        future = getattr(self._client.futures, method)(*args)
        deadline = None
        while True:
            try:
                return future.result(timeout=_SLICE_SECONDS)
            except futures.TimeoutError:
                if not self._stop.is_set():
                    continue
                now = time.monotonic()
                deadline = deadline or now + _FAREWELL_SECONDS
                if now >= deadline:
                    _ABANDONED.append(self._client)
                    raise


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
