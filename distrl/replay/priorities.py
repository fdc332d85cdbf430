"""Sends priorities back to replay without making the learner wait."""

import collections
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import reverb

from distrl.config.schema import Config
from distrl.replay.tables import TABLE_NAME

# The updates that may wait. An older one is worth less than a newer one.
_QUEUE_LENGTH = 16


class PriorityUpdater:
    """Sends priorities in a thread of its own; for items of one transition.

    The thread also waits for the device, so that the learner does not. Its errors
    are kept, and raised by `check`.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        convert: Callable[[Any], np.ndarray] = np.asarray,
    ):
        """Starts the thread; it connects at the first update.

        Args:
          address: `host:port` of the replay server.
          config: `launch.rpc_seconds` is the time limit of an update.
          convert: turns what `put` gets into `[K * B]` numpy, in the thread.
        """
        self._address = address
        self._convert = convert
        self._epsilon = config.replay.priority_epsilon
        self._limit = config.launch.rpc_seconds
        self._queue: collections.deque[tuple[np.ndarray, Any]] = collections.deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0
        self._error: BaseException | None = None
        self._busy_since: float | None = None
        self._thread = threading.Thread(
            target=self._run, name="priority-updater", daemon=True
        )
        self._thread.start()

    @property
    def dropped(self) -> int:
        """The updates that were dropped because newer ones came faster than they
        could be sent."""
        with self._changed:
            return self._dropped

    def put(self, keys: np.ndarray, priorities: Any) -> None:
        """Leaves an update for the thread; never blocks, may drop the oldest.

        Args:
          keys: `[K * B] uint64`, of the items; of equal ones the last counts.
          priorities: what `convert` turns into `[K * B]`, not negative;
            `replay.priority_epsilon` is added, and the table applies the exponent.
        """
        with self._changed:
            if len(self._queue) == _QUEUE_LENGTH:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((keys, priorities))
            self._changed.notify()

    def check(self) -> None:
        """Raises what went wrong in the thread; returns at once.

        Raises:
          RuntimeError: the server refused an update, or has not answered one for
            `launch.rpc_seconds`.
        """
        with self._changed:
            error, busy_since = self._error, self._busy_since
        if error is not None:
            raise RuntimeError("A priority update failed.") from error
        if busy_since is not None and time.monotonic() - busy_since > self._limit:
            raise RuntimeError(
                f"The replay server at {self._address} has not answered a priority "
                f"update for {self._limit:g} seconds (launch.rpc_seconds). Look at "
                "the log of the replay node."
            )

    def close(self, timeout: float = 0.5) -> None:
        """Drops what waits and ends the thread, or leaves it after `timeout` seconds.

        A thread whose server is gone cannot be ended; it is a daemon.
        """
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            client = reverb.Client(self._address)
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._queue or self._closed)
                    if self._closed:
                        return
                    keys, priorities = self._queue.popleft()
                values = np.asarray(self._convert(priorities), np.float64)
                values = values + self._epsilon
                updates = dict(zip(keys.tolist(), values.tolist(), strict=True))
                with self._changed:
                    self._busy_since = time.monotonic()
                # It has no time limit of its own: `check` watches the clock.
                client.mutate_priorities(TABLE_NAME, updates)
                with self._changed:
                    self._busy_since = None
        except BaseException as error:
            with self._changed:
                self._error = error
                self._busy_since = None
