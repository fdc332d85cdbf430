"""The way of sampled data to the devices, in a thread, ahead of the updates."""

import queue
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from distrl.config import Config
from distrl.learner.superbatch import split_superbatch
from distrl.replay import ReplaySampler

_POLL_SECONDS = 0.2


class DeviceSuperbatch(NamedTuple):
    """A superbatch on its devices.

    Attributes:
      keys: `[items] uint64`, on the host; JAX has no 64-bit integers here.
      items: a `Transition` or `Trajectory` of `[D, K, B / D, ...]`, a slice a
        device.
      probabilities: `[D, K, B / D] float32`, of having been sampled.
    """

    keys: np.ndarray
    items: Any
    probabilities: Any


class Feed:
    """Samples superbatches and puts them on the devices before they are needed.

    A read that waits for a server that has died is left to itself, and a new thread
    reads from the next server as soon as it is there. A server that only has nothing
    to give is waited for.
    """

    def __init__(
        self, sampler: ReplaySampler, config: Config, devices: Sequence[jax.Device]
    ):
        """Starts the thread."""
        self._steps = config.learner.steps_per_dispatch
        self._devices = list(devices)
        self._queue: queue.Queue[DeviceSuperbatch] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._start(sampler)

    def get(self, timeout: float) -> DeviceSuperbatch | None:
        """Returns the next superbatch; None when none came within `timeout` seconds.

        Raises:
          RuntimeError: reading replay has failed.
        """
        if self._error is not None:
            raise RuntimeError("reading replay failed") from self._error
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            if self._sampler.has_lost_server():
                self._start(self._sampler.renew())
            return None

    def close(self, timeout: float) -> None:
        """Ends the thread, which may sit in a read for up to `timeout` seconds."""
        self._closed.set()
        self._thread.join(timeout)

    def _start(self, sampler: ReplaySampler) -> None:
        self._sampler = sampler
        self._thread = threading.Thread(
            target=self._run, args=(sampler,), name="feed", daemon=True
        )
        self._thread.start()

    def _run(self, sampler: ReplaySampler) -> None:
        """Reads until the feed is closed or reads with another sampler."""
        try:
            while not self._closed.is_set():
                sampled = sampler.read()
                if self._sampler is not sampler:
                    return
                if sampled is not None:
                    self._offer(
                        DeviceSuperbatch(
                            sampled.keys,
                            *self._put((sampled.items, sampled.probabilities)),
                        )
                    )
        except BaseException as error:
            if self._sampler is sampler:
                self._error = error

    def _offer(self, superbatch: DeviceSuperbatch) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(superbatch, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def _put(self, nest: Any) -> Any:
        return put_superbatch(nest, self._devices, self._steps)


def put_superbatch(nest: Any, devices: Sequence[jax.Device], steps: int) -> Any:
    """Splits arrays `[K * B, ...]` and puts `[D, K, B / D, ...]` on the devices."""

    def put(array: np.ndarray) -> jax.Array:
        sharding = jax.sharding.PmapSharding.default(
            array.shape, sharded_dim=0, devices=list(devices)
        )
        return jax.device_put(array, sharding)

    return jax.tree_util.tree_map(put, split_superbatch(nest, len(devices), steps))
