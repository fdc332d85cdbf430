"""Prefetching of sampled superbatches to the devices, in threads."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from distrl.config import Config
from distrl.learner.devices import put_superbatch
from distrl.replay import ReplaySampler, SampledSuperbatch, ShardedSampler


class DeviceSuperbatch(NamedTuple):
    """A superbatch on its devices.

    Attributes:
      keys: `[items] uint64`, on the host, since JAX has no 64-bit integers here.
      shards: `[items] int`, the shard of each item, on the host.
      items: a `Transition` or `StepSequence` of `[D, K, B/D, ...]`.
      probabilities: `[D, K, B/D] float32`, of having been sampled.
    """

    keys: np.ndarray
    shards: np.ndarray
    items: Any
    probabilities: Any


class Feed:
    """Samples superbatches and puts them on the devices before they are needed."""

    def __init__(
        self,
        samplers: Sequence[ReplaySampler],
        config: Config,
        devices: Sequence[jax.Device],
    ):
        """Starts the threads; there is a sampler for each shard of replay."""
        self._steps = config.learner.steps_per_dispatch
        self._devices = list(devices)
        self._sampler = ShardedSampler(samplers, config.replay.block_size, self._put)

    def get(self, timeout: float) -> DeviceSuperbatch | None:
        """Returns the next superbatch, or None after `timeout` seconds without one.

        Raises RuntimeError if reading replay has failed.
        """
        return self._sampler.get(timeout)

    def close(self, timeout: float) -> None:
        """Ends the threads, which may be in a read, within `timeout` seconds."""
        self._sampler.close(timeout)

    def _put(self, sampled: SampledSuperbatch) -> DeviceSuperbatch:
        items, probabilities = put_superbatch(
            (sampled.items, sampled.probabilities), self._devices, self._steps
        )
        return DeviceSuperbatch(sampled.keys, sampled.shards, items, probabilities)
