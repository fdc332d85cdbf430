"""Writing of an actor's transitions or sequences to replay, in blocks."""

import contextlib
import threading
from typing import Any

import numpy as np
import reverb
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.items import fill_priorities, has_priority
from distrl.replay.connection import MAX_FAILURES, ServerWatch
from distrl.replay.forms import make_form
from distrl.types import EnvironmentSpec, StopSignal

# Reverb warns at about 50 unconfirmed items: 32 plus the 8 before the next look.
_MAX_UNCONFIRMED = 32
_ITEMS_PER_FLUSH = 8
# The longest wait between two checks of `stop`.
_SLICE_SECONDS = 0.25


class BlockWriter:
    """Pools transitions and writes blocks of G; with G = 1 each is written at once.

    Where the server draws whole blocks, transitions are pooled over a few steps and
    shuffled: the environments of an actor are stepped together, so a block would hold
    the same moment of all their episodes. For replay on the devices that keeps frames
    once, a block has steps of one environment, which share frames.

    While the table accepts no items, `write` blocks until it does or `stop` is set.
    Reverb resends unconfirmed items to a server that was restarted.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        spec: EnvironmentSpec,
        seed: int,
        stop: StopSignal,
    ):
        """Connects at the first `write`; `stop` ends every wait."""
        self._address = address
        self._config = config.replay
        self._block = config.replay.block_size
        self._pool_size = replay_sizes(config).pool
        is_server = config.replay.sampled_on == "server"
        self._shuffles = is_server and config.replay.shuffle_steps > 0
        self._sorts = not is_server and config.replay.frame_stack is not None
        self._has_priorities = has_priority(config)
        self._form = make_form(config, spec)
        self._pool: list[list[np.ndarray]] = []
        self._pooled = 0
        self._rng = np.random.default_rng(seed)
        self._stop = stop
        self._watch = ServerWatch(address, config.launch.connect_seconds)
        self._writer: reverb.TrajectoryWriter | None = None
        self._unflushed = 0

    def write(
        self,
        items: Any,
        priorities: np.ndarray | None = None,
        environments: np.ndarray | None = None,
    ) -> int:
        """Adds items to the pool, and writes full blocks; returns how many it wrote.

        `items` are a batch of transitions or sequences `[M, ...]`; M may be 0.
        `priorities` are as in `fill_priorities`; where the server samples, only blocks
        of one have them. `environments` are as in `Items`; None: all are the same.
        """
        count = len(tree.flatten(items)[0])
        if count == 0:
            return 0
        priorities = fill_priorities(priorities, count, self._config.priority_epsilon)
        if not np.isfinite(priorities).all():
            bad = priorities[~np.isfinite(priorities)][0]
            raise ValueError(f"an item that was to be written has the priority {bad}")
        if self._has_priorities:
            items = (items, priorities.astype(np.float32))
        leaves = self._form.encode(items)
        if self._block == 1:
            return self._write_items([leaf[:, None] for leaf in leaves], priorities)
        if environments is None or not self._sorts:
            environments = np.zeros(count, int)
        self._pool.append([environments, *leaves])
        self._pooled += count
        if self._pooled < self._pool_size:
            return 0
        blocks = self._take_blocks()
        return self._write_items(blocks, np.ones(len(blocks[0])))

    def close(self) -> None:
        """Waits up to half a second for unconfirmed items, then disconnects."""
        if self._writer is None:
            return
        # Errors no longer matter here.
        with contextlib.suppress(reverb.ReverbError, RuntimeError):
            self._writer.flush(0, timeout_ms=int(1000 * _SLICE_SECONDS))
        # In a thread, as it has been seen to hang, which must not stop an actor.
        closing = threading.Thread(target=self._writer.close, daemon=True)
        closing.start()
        closing.join(_SLICE_SECONDS)
        self._writer = None

    def _take_blocks(self) -> list[np.ndarray]:
        """Takes all whole blocks out of the pool, each leaf `[blocks, G, ...]`.

        A block has items of one environment if they are sorted.
        """
        pooled = [np.concatenate(parts) for parts in zip(*self._pool, strict=True)]
        environment = pooled[0]
        order = np.argsort(environment, kind="stable")
        if self._shuffles:
            self._rng.shuffle(order)
        counts = np.bincount(environment)
        number = (
            np.arange(self._pooled) - (np.cumsum(counts) - counts)[environment[order]]
        )
        is_whole = number < (counts - counts % self._block)[environment[order]]
        taken, rest = order[is_whole], order[~is_whole]
        self._pool = [[leaf[rest] for leaf in pooled]]
        self._pooled = len(rest)
        return [
            leaf[taken].reshape(-1, self._block, *leaf.shape[1:]) for leaf in pooled[1:]
        ]

    def _write_items(self, leaves: list[np.ndarray], priorities: np.ndarray) -> int:
        """Writes items, each leaf `[items, G, ...]`; returns the transition count."""
        if not self._connect():
            return 0
        items = zip(priorities.tolist(), *leaves, strict=True)
        for count, (priority, *item) in enumerate(items, start=1):
            assert self._writer is not None
            self._form.write(self._writer, priority, item)
            self._unflushed += 1
            if self._unflushed == _ITEMS_PER_FLUSH and not self._flush():
                return count * self._block
        return len(priorities) * self._block

    def _flush(self) -> bool:
        """Waits until few items are unconfirmed; returns False if stopped meanwhile."""
        assert self._writer is not None
        self._watch.begin_wait()
        while not self._stop.is_set():
            try:
                self._writer.flush(
                    _MAX_UNCONFIRMED, timeout_ms=int(1000 * _SLICE_SECONDS)
                )
            except reverb.DeadlineExceededError:
                self._watch.look()
                continue
            self._unflushed = 0
            return True
        return False

    def _connect(self) -> bool:
        """Opens a writer once the server is up; returns False if stopped before."""
        failures = 0
        while not self._stop.is_set():
            if self._writer is not None:
                return True
            if not self._watch.is_there(_SLICE_SECONDS):
                continue
            try:
                self._writer = self._form.open(reverb.Client(self._address))
            except (reverb.ReverbError, RuntimeError):
                failures += 1
                if failures > MAX_FAILURES:
                    raise
        return False
