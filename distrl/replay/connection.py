"""Reconnection to a replay server that was restarted at its address."""

import contextlib
import threading
import time
from collections.abc import Callable

import reverb

from distrl.system.remote import is_listening

# Longer than a server that has no samples takes to answer a read.
_SILENT_SECONDS = 1.5
_ATTEMPT_SECONDS = 0.1
_CONNECT_SECONDS = 1

MAX_FAILURES = 5
"""How many calls in a row may fail although the server is there.

The first calls after a restart may still use the connection to the dead server.
"""


def connect_client(address: str) -> None:
    """Connects as `reverb.Client` does."""
    reverb.Client(address).server_info(_CONNECT_SECONDS)


def connect_dataset(address: str) -> None:
    """Connects as Reverb's datasets do, which share no connection with its clients."""
    # There is no such table, so nothing is sampled; Reverb logs the refusal.
    absent = reverb.TrajectoryDataset(address, "reconnecting", (), (), 1, max_samples=1)
    next(iter(absent))


class ServerWatch:
    """Ends waits inside Reverb soon after their server was restarted.

    Reverb reconnects and resends by itself, but only when gRPC's back-off ends, which
    may take as long again as the server was away. A new connection, made while the port
    accepts, ends the back-off of all others.
    """

    def __init__(
        self,
        address: str,
        limit: float,
        connect: Callable[[str], None] = connect_client,
    ):
        """Does not connect yet; `limit` is how many seconds the server may be away."""
        self._address = address
        self._limit = limit
        self._connect = connect
        self._away_since: float | None = None
        self.begin_wait()

    def begin_wait(self) -> None:
        """Starts timing a new wait."""
        self._next_look = time.monotonic() + _SILENT_SECONDS
        self._must_connect = True

    def look(self) -> None:
        """Reconnects once if the wait is long, and when a server that was away is back.

        Call it repeatedly during the wait. Raises RuntimeError once the server has been
        away for `limit` seconds.
        """
        if time.monotonic() < self._next_look:
            return
        is_there = self.is_there(_ATTEMPT_SECONDS)
        delay = _SILENT_SECONDS if is_there else _ATTEMPT_SECONDS
        self._next_look = time.monotonic() + delay
        if is_there and self._must_connect:
            threading.Thread(target=self._reconnect, daemon=True).start()
        self._must_connect = not is_there

    def is_there(self, seconds: float) -> bool:
        """Waits up to `seconds` for the port to accept; raises as `look` does."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if is_listening(self._address, max(end - now, _ATTEMPT_SECONDS)):
                self._away_since = None
                return True
            if self._away_since is None:
                self._away_since = now
            if now - self._away_since > self._limit:
                raise RuntimeError(
                    f"No replay server answered at {self._address} for "
                    f"{self._limit:g} seconds (launch.connect_seconds). Look at the "
                    "log of the replay node: it did not start, or it ended."
                )
            if now + _ATTEMPT_SECONDS > end:
                return False
            time.sleep(_ATTEMPT_SECONDS)

    def _reconnect(self) -> None:
        with contextlib.suppress(Exception):
            self._connect(self._address)
