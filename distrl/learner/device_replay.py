"""Replay on the learner's devices, filled from the queues that actors write to."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents.agent import Agent
from distrl.checkpoints.layout import find_newest_checkpoint
from distrl.config import Config
from distrl.frames import MOST_INSERTED
from distrl.items import count_bytes, has_priority, make_stored_spec
from distrl.learner.checkpoint import Save
from distrl.learner.dispatch import Dispatch, count_due
from distrl.learner.replay_part import REPLAY, restore_replay, save_replay
from distrl.learner.state import TrainState
from distrl.learner.update import Learned
from distrl.replay import ItemStream
from distrl.system.output import say
from distrl.types import EnvironmentSpec

# The most that is inserted at once, if a block has fewer.
_MOST_BYTES = 2**25


class DeviceReplay:
    """Makes as many updates as the inserted items allow, in the order of their arrival.

    Which items an update may draw depends on that order alone, so the same stream of
    items gives the same parameters (without `samples_per_insert` it does not: then
    updates wait for nothing but `min_size`).
    """

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        devices: Sequence[jax.Device],
        addresses: Sequence[str],
    ):
        """Restores replay in the newest checkpoint, and starts to read the queues."""
        assert config.run_dir is not None
        self._config = config
        self._dispatch = Dispatch(config, spec, agent, devices)
        self._state = self._dispatch.init()
        checkpoint = find_newest_checkpoint(config.run_dir, say)
        if checkpoint is not None and config.checkpoint.save_replay:
            self._state = restore_replay(checkpoint, self._state, devices)
        blocks = count_blocks(config, spec, len(devices))
        self._stream = ItemStream(addresses, config, spec, blocks, self._put)

    def compile(self, train: TrainState) -> None:
        """Compiles the dispatch; changes nothing."""
        self._dispatch.compile(self._state._replace(train=train))

    def learn(
        self, train: TrainState, learner_steps: int, timeout: float
    ) -> Learned | None:
        """Makes the next dispatch, or inserts the next group and returns None.

        Waits up to `timeout` seconds for that. `train` is donated if it learns.
        """
        state, config = self._state, self._config
        due = count_due(config, state.inserted, state.sampled)
        if not due or config.replay.samples_per_insert is None:
            group = self._stream.get(0.0 if due else timeout)
            if group is not None:
                self._state = state = self._dispatch.insert(state, *group)
        if not due:
            return None
        state = state._replace(train=train, learner_steps=learner_steps)
        self._state, output, variables = self._dispatch.learn(state)
        return Learned(self._state.train, output, variables)

    def read_gauges(self) -> dict[str, float]:
        """Returns the size of replay, and how many items were inserted and sampled."""
        state = self._state
        size = min(state.inserted, self._config.replay.capacity)
        return {
            "replay_size": size,
            "inserted": state.inserted,
            "sampled": state.sampled,
        }

    def begin_save(self) -> Mapping[str, Save]:
        """Returns the parts of a checkpoint with what replay holds now."""
        if not self._config.checkpoint.save_replay:
            return {}
        copied = self._state._replace(buffer=jax.tree.map(jnp.copy, self._state.buffer))
        return {REPLAY: lambda path, _: save_replay(path, copied)}

    def close(self, timeout: float) -> None:
        """Ends the threads, each within `timeout` seconds."""
        self._stream.close(timeout)

    def _put(self, read: Any) -> tuple[Any, Any]:
        replay = self._config.replay
        if replay.frame_stack is not None:
            blocks, dealt = zip(*read, strict=True)
            priorities = np.ones((len(blocks), replay.block_size), np.float32)
            if has_priority(self._config):
                priorities = np.stack(dealt)
            return self._dispatch.put_blocks(blocks, priorities)
        if has_priority(self._config):
            items, priorities = read
        else:
            items = read
            priorities = np.ones(len(jax.tree.leaves(items)[0]), np.float32)
        return self._dispatch.put(items, priorities)


def count_blocks(config: Config, spec: EnvironmentSpec, num_devices: int) -> int:
    """Returns how many blocks are inserted at once: those that make an update due.

    It may be fewer, to limit the memory. They hold a multiple of `num_devices` items.
    """
    replay, learner = config.replay, config.learner
    block = replay.block_size
    superbatch = learner.batch_size * learner.steps_per_dispatch
    wanted = superbatch / (replay.samples_per_insert or 1.0)
    size = count_bytes(make_stored_spec(config, spec))
    most = min(MOST_INSERTED, _MOST_BYTES // size, replay.capacity)
    blocks = max(1, int(min(wanted, most) // block))
    step = num_devices // math.gcd(num_devices, block)
    if replay.frame_stack is not None:
        # A device gets whole blocks.
        step = num_devices
    fitting = max(1, replay.capacity // (block * step))
    return min(math.ceil(blocks / step), fitting) * step
