"""Finds out whether a server is there, with a plain socket.

A gRPC channel that was refused backs off for seconds, and Reverb's calls without a
time limit wait for ever; so nobody opens a channel before the port accepts.
"""

import time

from distrl.ports import is_listening

_ATTEMPT_SECONDS = 0.05

MAX_FAILURES = 5
"""The calls in a row that may fail at a server that is there.

Channels of a process to one address share their connections. One that nobody has
used since the server was restarted fails once, and is then made anew.
"""


class ServerProbe:
    """Waits for a server in slices, and gives up after a limit in all."""

    def __init__(self, address: str, limit: float):
        """Starts with the whole limit.

        Args:
          address: `host:port`.
          limit: the seconds that the server may be unreachable.
        """
        self._address = address
        self._limit = limit
        self._missing_since: float | None = None

    def wait(self, seconds: float) -> bool:
        """Waits up to `seconds` and returns whether the server is there.

        Raises:
          RuntimeError: it has not been there for the whole limit.
        """
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if is_listening(self._address, max(end - now, _ATTEMPT_SECONDS)):
                self._missing_since = None
                return True
            if self._missing_since is None:
                self._missing_since = now
            if now - self._missing_since > self._limit:
                raise RuntimeError(
                    f"No replay server answered at {self._address} for "
                    f"{self._limit:g} seconds (launch.connect_seconds). Look at the "
                    "log of the replay node: it did not start, or it ended."
                )
            if now + _ATTEMPT_SECONDS > end:
                return False
            time.sleep(_ATTEMPT_SECONDS)
