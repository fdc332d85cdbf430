"""Sends priorities back to a shard of replay without making the learner wait."""

import collections
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import reverb

from distrl.config.schema import Config
from distrl.ports import LifeLine
from distrl.replay.connection import MAX_FAILURES, ServerProbe
from distrl.replay.tables import TABLE_NAME

# The updates that may wait. An older one is worth less than a newer one.
_QUEUE_LENGTH = 16
# The longest wait for a server before the next look whether the thread is to end.
_SLICE_SECONDS = 0.25


class _Update(NamedTuple):
    keys: np.ndarray
    priorities: Any
    rows: np.ndarray | None


class PriorityUpdater:
    """Sends priorities in a thread of its own; for items of one transition.

    The thread also waits for the device, so that the learner does not. Its errors
    are kept, and raised by `check`.

    A server that was restarted is sent the next update as soon as it listens; it
    ignores the keys of items that it does not hold. The updates that went to a
    server that died are dropped.
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
          config: its `launch` group says how long a server may be away or silent.
          convert: turns what `put` gets into `[K * B]` numpy, in the thread.
        """
        self._address = address
        self._convert = convert
        self._epsilon = config.replay.priority_epsilon
        self._connect_seconds = config.launch.connect_seconds
        self._patience = config.launch.patience_seconds
        self._queue: collections.deque[_Update] = collections.deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0
        self._error: BaseException | None = None
        self._line: LifeLine | None = None
        self._busy_since: float | None = None
        self._start()

    @property
    def dropped(self) -> int:
        """The updates that were dropped: newer ones came faster than they could be
        sent, or the server died."""
        with self._changed:
            return self._dropped

    def put(
        self, keys: np.ndarray, priorities: Any, rows: np.ndarray | None = None
    ) -> None:
        """Leaves an update for the thread; never blocks, may drop the oldest.

        Args:
          keys: `[N] uint64`, of the items; of equal ones the last counts.
          priorities: what `convert` turns into `[K * B]`, not negative;
            `replay.priority_epsilon` is added, and the table applies the exponent.
          rows: `[N] int`, which of them are those of the keys; None for all.
        """
        with self._changed:
            if len(self._queue) == _QUEUE_LENGTH:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(_Update(keys, priorities, rows))
            self._changed.notify()

    def check(self) -> None:
        """Raises what went wrong in the thread; returns at once.

        An update that waits for a server that has ended, which it would do for ever,
        is left to itself with its thread.

        Raises:
          RuntimeError: the server refused an update; it has not been there for
            `launch.connect_seconds`; or it is there, but has not answered for that
            time and `launch.silent_seconds`.
        """
        with self._changed:
            error, busy_since, line = self._error, self._busy_since, self._line
        if error is not None:
            raise RuntimeError("A priority update failed.") from error
        if busy_since is None:
            return
        if line is not None and line.is_cut():
            with self._changed:
                # Not if the thread found out itself meanwhile.
                if self._busy_since == busy_since:
                    self._dropped += 1
                    self._start()
        elif time.monotonic() - busy_since > self._patience:
            raise RuntimeError(
                f"The replay server at {self._address} has not answered a priority "
                f"update for {self._patience:g} seconds (launch.silent_seconds and "
                "launch.connect_seconds). Look at the log of the replay node."
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

    def _start(self) -> None:
        self._line = self._busy_since = None
        self._thread = threading.Thread(
            target=self._run, name="priority-updater", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        probe = ServerProbe(self._address, self._connect_seconds)
        line: LifeLine | None = None
        failures = 0
        try:
            while (update := self._take()) is not None:
                values = np.asarray(self._convert(update.priorities), np.float64)
                if update.rows is not None:
                    values = values[update.rows]
                values = values + self._epsilon
                if not np.isfinite(values).all():
                    # Reverb would take it, and draw nothing else from then on.
                    raise ValueError(
                        f"a new priority is {values[~np.isfinite(values)][0]}"
                    )
                pairs = zip(update.keys.tolist(), values.tolist(), strict=True)
                updates = dict(pairs)
                if line is None or line.is_cut():
                    line = self._connect(probe)
                    if line is None:
                        return
                    client = reverb.Client(self._address)
                if not self._mark_busy(line):
                    return
                # It has no time limit of its own: `check` watches it.
                try:
                    client.mutate_priorities(TABLE_NAME, updates)
                    failures = 0
                except RuntimeError:
                    failures += 1
                    if failures > MAX_FAILURES and not line.explains_failure():
                        raise
                    with self._changed:
                        self._dropped += self._is_current()
                if not self._mark_busy(None):
                    return
        except BaseException as error:
            with self._changed:
                if self._is_current():
                    self._error, self._busy_since = error, None

    def _take(self) -> _Update | None:
        """Waits for an update; None if the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return None if self._closed else self._queue.popleft()

    def _connect(self, probe: ServerProbe) -> LifeLine | None:
        """Waits for the server; None if the thread is to end."""
        while not self._closed:
            if probe.wait(_SLICE_SECONDS):
                try:
                    return LifeLine(self._address)
                except OSError:  # it ended in this very moment
                    continue
        return None

    def _mark_busy(self, line: LifeLine | None) -> bool:
        """Begins a call to the server of the line, or ends it; False if abandoned."""
        with self._changed:
            if not self._is_current():
                return False
            self._line = line
            self._busy_since = None if line is None else time.monotonic()
            return True

    def _is_current(self) -> bool:
        return self._thread is threading.current_thread()
