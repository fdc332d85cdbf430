"""Writes an actor's transitions or sequences to replay, in shuffled blocks."""

import contextlib
import threading
from typing import Any

import numpy as np
import reverb
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.items import fill_priorities
from distrl.ports import LifeLine
from distrl.replay.connection import MAX_FAILURES, ServerProbe
from distrl.replay.tables import TABLE_NAME, make_form
from distrl.types import EnvironmentSpec, StopSignal

# Reverb warns at about 50 unconfirmed items: 32 plus the 8 before the next look.
_MAX_UNCONFIRMED = 32
_ITEMS_PER_FLUSH = 8
# The longest wait between two looks at `stop`.
_SLICE_SECONDS = 0.25
_WriterError = (reverb.ReverbError, RuntimeError)


class BlockWriter:
    """Pools transitions over a few steps, shuffles them, and writes blocks of G.

    The environments of an actor go in lock-step, so that without the shuffling a
    block would hold the same moment of all their episodes. With G = 1 every
    transition is written at once. Where the rate limiter refuses inserts, `write`
    blocks until it allows them or `stop` is set.

    A server that was restarted at its address is written to as soon as it listens.
    The items that the one before had not confirmed are lost: at most 40, and none
    arrives twice.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        spec: EnvironmentSpec,
        seed: int,
        stop: StopSignal,
    ):
        """Connects at the first `write`, not here.

        Args:
          address: `host:port` of the replay server.
          config: the run's configuration.
          spec: the environment's observations and actions.
          seed: the seed of the shuffling.
          stop: ends every wait.
        """
        self._address = address
        self._block = config.replay.block_size
        self._epsilon = config.replay.priority_epsilon
        self._shuffles = config.replay.shuffle_steps > 0
        self._pool_size = replay_sizes(config).pool
        self._encoder = make_form(config, spec).make_encoder()
        self._pool: list[list[np.ndarray]] = []
        self._pooled = 0
        self._rng = np.random.default_rng(seed)
        self._stop = stop
        self._probe = ServerProbe(address, config.launch.connect_seconds)
        self._writer: reverb.TrajectoryWriter | None = None
        self._line: LifeLine | None = None
        self._unflushed = 0

    def write(self, items: Any, priorities: np.ndarray | None = None) -> int:
        """Adds transitions or sequences to the pool, and writes blocks that are due.

        Args:
          items: a batch `[M, ...]`; M may be 0. It is copied.
          priorities: `[M] float32`, not negative, for blocks of one only;
            `replay.priority_epsilon` is added, and the table applies the exponent.
            None is the usual one.

        Returns:
          The number of them written, which waited in the pool or came now.

        Raises:
          RuntimeError: the server cannot be reached, or refuses the items.
          ValueError: priorities for blocks of several, or that are no numbers.
        """
        count = len(tree.flatten(items)[0])
        if priorities is not None and self._block > 1:
            raise ValueError(
                f"priorities are for single items, not for blocks of {self._block} "
                "(replay.transitions_per_item)"
            )
        if count == 0:
            return 0
        leaves = self._encoder.encode(items)
        if self._block == 1:
            return self._write_items([leaf[:, None] for leaf in leaves], priorities)
        self._pool.append([np.array(leaf) for leaf in leaves])
        self._pooled += count
        if self._pooled < self._pool_size:
            return 0
        return self._write_items(self._take_blocks(), None)

    def close(self) -> None:
        """Gives pending items one short chance to arrive, and disconnects.

        What is in the pool is dropped. Never blocks longer than two slices.
        """
        if self._writer is None:
            return
        # The reason for which they do not arrive no longer matters.
        if not self._has_lost_server():
            with contextlib.suppress(*_WriterError):
                self._writer.flush(0, timeout_ms=int(1000 * _SLICE_SECONDS))
        self._disconnect()

    def _take_blocks(self) -> list[np.ndarray]:
        """Takes all whole blocks out of the pool, each leaf `[blocks, G, ...]`."""
        pooled = [np.concatenate(parts) for parts in zip(*self._pool, strict=True)]
        size = self._pooled - self._pooled % self._block
        if self._shuffles:
            order = self._rng.permutation(self._pooled)
        else:
            order = np.arange(self._pooled)
        self._pool = [[leaf[order[size:]] for leaf in pooled]]
        self._pooled -= size
        return [
            leaf[order[:size]].reshape(-1, self._block, *leaf.shape[1:])
            for leaf in pooled
        ]

    def _write_items(
        self, leaves: list[np.ndarray], priorities: np.ndarray | None
    ) -> int:
        """Writes items, each leaf `[items, G, ...]`; returns transitions written."""
        if self._stop.is_set():
            return 0
        priorities = fill_priorities(priorities, len(leaves[0]), self._epsilon)
        if not np.isfinite(priorities).all():
            bad = priorities[~np.isfinite(priorities)][0]
            raise ValueError(f"an item that was to be written has the priority {bad}")
        if self._writer is not None and self._has_lost_server():
            self._disconnect()
        for index, item in enumerate(zip(*leaves, strict=True)):
            if self._writer is None and not self._connect():
                return index * self._block
            try:
                self._append(item, float(priorities[index]))
            except _WriterError:
                if self._line is None or not self._line.explains_failure():
                    raise
                self._disconnect()
            if self._unflushed == _ITEMS_PER_FLUSH and not self._flush():
                return (index + 1) * self._block
        return len(leaves[0]) * self._block

    def _append(self, item: Any, priority: float) -> None:
        assert self._writer is not None
        self._encoder.write(self._writer, TABLE_NAME, priority, item)
        self._unflushed += 1

    def _flush(self) -> bool:
        """Waits until few items are unconfirmed, or lost; False if stopped meanwhile.

        A server that only refuses inserts, or is frozen, is waited for.
        """
        assert self._writer is not None
        while not self._stop.is_set():
            try:
                self._writer.flush(
                    _MAX_UNCONFIRMED, timeout_ms=int(1000 * _SLICE_SECONDS)
                )
            except reverb.DeadlineExceededError:
                if not self._has_lost_server():
                    continue
                self._disconnect()
            except _WriterError:
                if self._line is None or not self._line.explains_failure():
                    raise
                self._disconnect()
            self._unflushed = 0
            return True
        return False

    def _connect(self) -> bool:
        """Waits for the server; False if stopped meanwhile."""
        failures = 0
        while self._writer is None and not self._stop.is_set():
            if not self._probe.wait(_SLICE_SECONDS):
                continue
            try:
                self._line = LifeLine(self._address)
                self._writer = self._encoder.open(reverb.Client(self._address))
            except OSError:  # it ended in this very moment
                continue
            except RuntimeError:
                failures += 1
                if failures > MAX_FAILURES:
                    raise
        return self._writer is not None

    def _has_lost_server(self) -> bool:
        return self._line is not None and self._line.is_cut()

    def _disconnect(self) -> None:
        """Drops the writer, and with it what was not confirmed."""
        assert self._writer is not None
        # Left alone, it would send its items to the next server of the address. And
        # it has hung in `close` before: that must not stop an actor.
        closing = threading.Thread(target=self._writer.close, daemon=True)
        closing.start()
        closing.join(_SLICE_SECONDS)
        if self._line is not None:
            self._line.close()
        self._writer = self._line = None
        self._unflushed = 0
