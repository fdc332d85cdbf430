"""Replay that the Reverb servers sample, for what does not fit on the devices."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.items import make_item_spec, make_zeros
from distrl.learner.checkpoint import Save
from distrl.learner.devices import join_superbatch, put_superbatch
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import TrainState
from distrl.learner.update import Learned, make_update
from distrl.replay import (
    PriorityUpdater,
    SampledSuperbatch,
    ShardedSampler,
    save_shard,
)
from distrl.types import EnvironmentSpec, Nest


class ServerReplay:
    """Makes an update on each superbatch from the servers; returns its priorities."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        devices: Sequence[jax.Device],
        addresses: Sequence[str],
    ):
        """Starts to read superbatches."""
        self._config = config
        self._spec = spec
        self._devices = devices
        self._steps = config.learner.steps_per_dispatch
        optimizer = make_optimizer(config.learner)
        self._update = make_update(agent, optimizer, config, devices)
        self._feed = ShardedSampler(addresses, config, spec, self._put_on_devices)
        self._priorities = None
        if config.replay.kind == "prioritized":
            self._priorities = PriorityUpdater(addresses, config, join_superbatch)
        self._addresses = addresses

    def compile(self, train: TrainState) -> None:
        """Compiles the update on a copy of the state, since the state is donated."""
        size = self._config.learner.batch_size * self._steps
        items = make_zeros(make_item_spec(self._config, self._spec), size)
        zeros = self._put(items, np.ones(size, np.float32))
        copied = jax.tree.map(jnp.copy, train)
        jax.block_until_ready(self._update(copied, *zeros))

    def learn(
        self, train: TrainState, learner_steps: int, timeout: float
    ) -> Learned | None:
        """Makes an update; None if there is no superbatch within `timeout` seconds.

        `train` is donated if it learns.
        """
        if self._priorities is not None:
            self._priorities.check()
        superbatch = self._feed.get(timeout)
        if superbatch is None:
            return None
        train, output = self._update(train, superbatch.items, superbatch.probabilities)
        if self._priorities is not None:
            self._priorities.put(superbatch.keys, superbatch.shards, output.priorities)
        return Learned(train, output, None)

    def read_gauges(self) -> dict[str, float]:
        """Returns nothing: the servers report their counts."""
        return {}

    def begin_save(self) -> Mapping[str, Save]:
        """Returns the parts of a checkpoint that the servers write."""
        if not self._config.checkpoint.save_replay:
            return {}
        names = self._config.replay.shard_names
        shards = zip(names, self._addresses, strict=True)
        return {name: partial(save_shard, address) for name, address in shards}

    def close(self, timeout: float) -> None:
        """Ends the threads, each within `timeout` seconds."""
        self._feed.close(timeout)
        if self._priorities is not None:
            self._priorities.close()

    def _put_on_devices(self, read: SampledSuperbatch) -> SampledSuperbatch:
        items, probabilities = self._put(read.items, read.probabilities)
        return read._replace(items=items, probabilities=probabilities)

    def _put(self, items: Nest, probabilities: np.ndarray) -> tuple[Nest, Any]:
        """Puts items and probabilities on the devices, as `[D, K, B/D, ...]`."""
        return put_superbatch((items, probabilities), self._devices, self._steps)
