"""Remote calls that are tried again for a while, and given up when a run stops."""

import time
from collections.abc import Callable
from typing import Any

from distrl.types import StopSignal


class RemoteCaller:
    """Calls methods of one node; waits for it while it is away, but not for ever."""

    def __init__(self, node: str, patience_seconds: float, stop: StopSignal):
        """Makes a caller.

        Args:
          node: the name of the node called, for the error.
          patience_seconds: how long calls may fail in a row.
          stop: when set, a failing call answers None at once.
        """
        self._node = node
        self._patience = patience_seconds
        self._stop = stop
        self._failing_since: float | None = None

    def call(self, method: Callable[..., Any], *args: Any) -> Any:
        """Returns what `method(*args)` answers, or None when it failed this time.

        Raises:
          RuntimeError: it has failed for `patience_seconds`.
        """
        try:
            answer = method(*args)
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
            self._stop.wait(0.1)
            return None
        self._failing_since = None
        return answer
