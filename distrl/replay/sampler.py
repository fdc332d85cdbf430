"""Reads from one server: superbatches for the learner, or a shard's share of them."""

import contextlib
import copy
import threading
from typing import Any, NamedTuple

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.ports import LifeLine
from distrl.replay.connection import MAX_FAILURES, ServerProbe
from distrl.replay.iteration import CancelableIterator
from distrl.replay.tables import TABLE_NAME, make_form
from distrl.types import EnvironmentSpec

# Measured: more than 2 workers, or more samples on their way, are no faster.
_WORKERS = 2
_MAX_IN_FLIGHT = 128
_TENSORFLOW_THREADS = 2
# The silence of replay after which `read` returns None.
SILENCE_SECONDS = 1.0


class SampledSuperbatch(NamedTuple):
    """K batches of B transitions, drawn independently; or a shard's share of them.

    Attributes:
      keys: `[K * B / G] uint64`, the items that the transitions came from, in order.
      probabilities: `[K * B] float32`, of drawing a transition's item.
      items: `Transition` or `Trajectory` of `[K * B, ...]` numpy; read only.
      shards: `[K * B / G] int`, the shard of replay that holds each item.
    """

    keys: np.ndarray
    probabilities: np.ndarray
    items: Any
    shards: np.ndarray


class ReplaySampler:
    """Reads a server's share of superbatches; to be used in a thread of its own.

    Where there is one server, its share is the whole.

    When replay gives nothing for a second, Reverb ends its iterator. What it had
    given until then counts as sampled for the rate limiter; so it is kept, and the
    next iterator is asked for the missing items only. Nothing is thrown away,
    however slow the actors are.

    A server that dies while a read waits leaves that read waiting: Reverb's
    iterator neither yields nor raises until seconds after a server is back at the
    address. So another thread ends the wait and goes on with a sampler of its own
    (`recover`). It does not count on the end of what waits inside Reverb.
    """

    _line: LifeLine | None
    _iterator: CancelableIterator | None
    _parts: list[Any]
    _held: int
    _failures: int

    def __init__(
        self, address: str, config: Config, spec: EnvironmentSpec, shard: int = 0
    ):
        """Connects at the first `read`, not here.

        Args:
          address: `host:port` of the replay server.
          config: the run's configuration.
          spec: the environment's observations and actions.
          shard: which of `replay.shards` the server holds, from 0.
        """
        # They can only be set before TensorFlow is first used in the process.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(_TENSORFLOW_THREADS)
            tf.config.threading.set_intra_op_parallelism_threads(1)
        self._address = address
        self._shard = shard
        self._form = make_form(config, spec)
        self._block = config.replay.block_size
        self._items = replay_sizes(config).share
        self._prefetch = config.replay.prefetch
        self._connect_seconds = config.launch.connect_seconds
        self._reset()

    def read(self) -> SampledSuperbatch | None:
        """Returns the next share, or None when the server was silent for a second.

        Raises:
          RuntimeError: the server could not be reached for `launch.connect_seconds`.
          tf.errors.OpError: the server refuses, for example another signature.
        """
        if self._has_lost_server():
            self._forget_server()
        if self._line is None:
            if not self._probe.wait(SILENCE_SECONDS):
                return None
            try:
                self._line = LifeLine(self._address)
            except OSError:  # it ended in this very moment
                return None
        if self._iterator is None:
            self._iterator = self._make_iterator(self._items - self._held)
        try:
            part = self._iterator.next()
        except (tf.errors.UnavailableError, tf.errors.CancelledError):
            self._failures += 1
            if self._failures > MAX_FAILURES and not self._line.explains_failure():
                raise
            self._forget_server()
            return None
        self._failures = 0
        if part is None:
            self._iterator = None
            return None
        self._parts.append(part)
        self._held += len(part.info.key)
        joined = len(self._parts) > 1
        if joined or self._held < self._items:
            # It was asked for the missing items only, or it fell silent.
            self._iterator = None
        if self._held < self._items:
            return None
        parts, self._parts, self._held = self._parts, [], 0
        return self._join(parts)

    def recover(self) -> "ReplaySampler | None":
        """Returns one like this that has read nothing, if the server has ended.

        To be called by another thread than the one that reads, whose read is given up.
        None while there is no server, too: `read` looks for it, and gets on.
        """
        if not self._has_lost_server():
            return None
        iterator = self._iterator
        if iterator is not None:
            threading.Thread(target=iterator.cancel, daemon=True).start()
        fresh = copy.copy(self)
        fresh._reset()
        return fresh

    def close(self) -> None:
        """Drops the iterator; samples on their way are lost."""
        self._iterator = None

    def _has_lost_server(self) -> bool:
        line = self._line
        return line is not None and line.is_cut()

    def _reset(self) -> None:
        self._probe = ServerProbe(self._address, self._connect_seconds)
        self._line = self._iterator = None
        self._parts, self._held, self._failures = [], 0, 0

    def _forget_server(self) -> None:
        """Drops what hangs on a server that has ended; what it gave is kept."""
        # In a thread, for the destructor of Reverb's workers may wait for it.
        left, self._iterator = [self._iterator], None
        threading.Thread(target=left.clear, daemon=True).start()
        self._line = None

    def _make_iterator(self, items: int) -> CancelableIterator:
        """Makes an iterator over whole shares, or over the missing `items`.

        The iterator's last batch is smaller if replay falls silent.
        """
        whole = items == self._items
        signature = tree.flatten(self._form.signature)
        dataset = reverb.TrajectoryDataset(
            server_address=self._address,
            table=TABLE_NAME,
            dtypes=tuple(leaf.dtype for leaf in signature),
            shapes=tuple(leaf.shape for leaf in signature),
            max_in_flight_samples_per_worker=min(2 * items, _MAX_IN_FLIGHT),
            num_workers_per_iterator=_WORKERS,
            rate_limiter_timeout_ms=int(1000 * SILENCE_SECONDS),
            max_samples=-1 if whole else items,
        )
        dataset = self._form.batch(dataset, items)
        if whole and self._prefetch > 0:
            dataset = dataset.prefetch(self._prefetch)
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = _TENSORFLOW_THREADS
        options.threading.max_intra_op_parallelism = 1
        return CancelableIterator(dataset.with_options(options))

    def _join(self, parts: list[Any]) -> SampledSuperbatch:
        """Joins batches of items, one transition of each item in turn."""
        infos = [part.info for part in parts]
        probabilities = np.concatenate([info.probability for info in infos])
        keys = np.concatenate([info.key for info in infos])
        return SampledSuperbatch(
            keys=keys,
            probabilities=np.tile(probabilities.astype(np.float32), self._block),
            items=self._form.decode([part.data for part in parts]),
            shards=np.full(len(keys), self._shard),
        )
