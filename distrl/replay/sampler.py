"""Reading of superbatches from one replay server."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.schema import Config
from distrl.replay.connection import MAX_FAILURES, ServerWatch, connect_dataset
from distrl.replay.forms import TABLE_NAME, make_form
from distrl.types import EnvironmentSpec

# Measured: more workers or more samples in flight are not faster.
_WORKERS = 2
_MAX_IN_FLIGHT = 128
_TENSORFLOW_THREADS = 2
_RETRY_SECONDS = 0.2

SILENCE_SECONDS = 1.0
"""`read` returns None after this many seconds without a sample."""


class SampledSuperbatch(NamedTuple):
    """K batches of B transitions, drawn independently; or a shard's share of them.

    Attributes:
      keys: `[K * B / G] uint64`, the items that the transitions came from, in order.
      probabilities: `[K * B] float32`, of drawing a transition's item.
      items: `Transition` or `StepSequence` of `[K * B, ...]` numpy; read-only.
      shards: `[K * B / G] int`, the shard of replay that holds each item.
    """

    keys: np.ndarray
    probabilities: np.ndarray
    items: Any
    shards: np.ndarray


class ReplaySampler:
    """Reads one server's share of each superbatch, or the next items of its queue.

    After a second without samples Reverb ends its iterator. The rate limiter has
    counted what it returned until then, so that is kept, and the next iterator asks for
    the missing items only.

    While the server is away, `read` blocks inside Reverb, which reconnects by itself;
    meanwhile another thread must call `watch.look`.
    """

    def __init__(
        self,
        address: str,
        config: Config,
        spec: EnvironmentSpec,
        items: int,
        shard: int = 0,
    ):
        """Connects at the first `read`, each of `items`; `shard` is a number from 0."""
        # Only possible before TensorFlow is first used in the process.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(_TENSORFLOW_THREADS)
            tf.config.threading.set_intra_op_parallelism_threads(1)
        self._address = address
        self._shard = shard
        self._form = make_form(config, spec)
        self._config = config.replay
        # One worker keeps the order of a queue.
        self._workers = _WORKERS if config.replay.sampled_on == "server" else 1
        self._items = items
        self._iterator: Iterator[Any] | None = None
        self._parts: list[Any] = []
        self._missing = self._items
        self._failures = 0
        self.watch = ServerWatch(
            address, config.launch.connect_seconds, connect_dataset
        )

    def read(self) -> SampledSuperbatch | None:
        """Returns the next share, or None if none came within a second.

        Raises:
          RuntimeError: the server could not be reached for `launch.connect_seconds`.
          tf.errors.OpError: the server refuses, for example another signature.
        """
        self.watch.begin_wait()
        if self._iterator is None and not self.watch.is_there(SILENCE_SECONDS):
            return None
        try:
            if self._iterator is None:
                self._iterator = iter(self._make_dataset().as_numpy_iterator())
            part = next(self._iterator)
        except StopIteration:
            self._iterator, self._failures = None, 0
            return None
        except (tf.errors.UnavailableError, tf.errors.CancelledError):
            self._failures += 1
            if self._failures > MAX_FAILURES:
                raise
            self._iterator = None
            # The port of a process that dies may accept a moment longer.
            time.sleep(_RETRY_SECONDS)
            return None
        self._failures = 0
        self._parts.append(part)
        self._missing -= len(part.info.key)
        if len(self._parts) > 1 or self._missing:
            # The iterator was only for the missing items, or the server fell silent.
            self._iterator = None
        if self._missing:
            return None
        parts, self._parts, self._missing = self._parts, [], self._items
        return self._join(parts)

    def _make_dataset(self) -> tf.data.Dataset:
        """Returns a dataset of whole shares, or of the missing items."""
        items = self._missing
        whole = items == self._items
        signature = tree.flatten(self._form.signature)
        dataset = reverb.TrajectoryDataset(
            server_address=self._address,
            table=TABLE_NAME,
            dtypes=tuple(leaf.dtype for leaf in signature),
            shapes=tuple(leaf.shape for leaf in signature),
            max_in_flight_samples_per_worker=min(2 * items, _MAX_IN_FLIGHT),
            num_workers_per_iterator=self._workers,
            rate_limiter_timeout_ms=int(1000 * SILENCE_SECONDS),
            max_samples=-1 if whole else items,
        )
        dataset = self._form.batch(dataset, items)
        if whole:
            dataset = dataset.prefetch(self._config.prefetch)
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = _TENSORFLOW_THREADS
        options.threading.max_intra_op_parallelism = 1
        return dataset.with_options(options)

    def _join(self, parts: list[Any]) -> SampledSuperbatch:
        """Joins batches of items, one transition of each item in turn."""
        keys = np.concatenate([part.info.key for part in parts])
        drawn = np.concatenate([part.info.probability for part in parts])
        return SampledSuperbatch(
            keys=keys,
            probabilities=np.tile(drawn.astype(np.float32), self._config.block_size),
            items=self._form.decode([part.data for part in parts]),
            shards=np.full(len(keys), self._shard),
        )
