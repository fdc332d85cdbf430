"""Learning from replay on the devices: insert items, draw, update, set priorities.

The serial backend and the learner of the distributed program drive the same functions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.frames import FramedItems, FrameLayout, count_kept
from distrl.items import make_item_spec
from distrl.learner.buffer import Buffer, BufferState
from distrl.learner.devices import (
    add_axis,
    copy_first_replica,
    drop_axis,
    map_alone,
    map_over_devices,
    put_slices,
    replicate,
)
from distrl.learner.frame_buffer import (
    FrameBuffer,
    FrameMemory,
    join_blocks,
    stack_groups,
)
from distrl.learner.optimizer import make_optimizer
from distrl.learner.publisher import Variables
from distrl.learner.state import TrainState, init_state
from distrl.learner.sum_tree import SumTree
from distrl.learner.update import UpdateOutput, make_slice_update
from distrl.networks.value_network import DEVICE_AXIS
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec, Nest

_Changed: TypeAlias = tuple[TrainState, SumTree | None]
"""What a dispatch changes: the learner's state, and the weights of the items."""


class LearningState(NamedTuple):
    """The learner's state, replay, and their counts.

    The counts are Python integers, so that none overflows.

    Attributes:
      train: with a leading `[D]`, one copy per device.
      buffer: with a leading `[D]`, one share of replay per device.
      inserted: items inserted on all devices.
      sampled: items drawn on all devices.
      learner_steps: the SGD steps so far.
    """

    train: TrainState
    buffer: BufferState
    inserted: int = 0
    sampled: int = 0
    learner_steps: int = 0


def count_due(config: Config, inserted: int, sampled: int) -> int:
    """Returns how many superbatches to learn from before the next item is inserted.

    Reverb's rule: as many whole ones as `samples_per_insert` allows for the items
    inserted since replay held `min_size`; one if `samples_per_insert` is None.
    """
    replay = config.replay
    if inserted < max(1, replay.min_size):
        return 0
    if replay.samples_per_insert is None:
        return 1
    superbatch = config.learner.batch_size * config.learner.steps_per_dispatch
    allowed = replay.samples_per_insert * (inserted - replay.min_size)
    return max(0, int((allowed - sampled) // superbatch))


class Dispatch:
    """`learner.steps_per_dispatch` SGD steps on one superbatch, in one compiled call.

    Each of D devices holds a share of replay, and draws its slice of every batch from
    it. Item i of a group that is inserted belongs to device i % D, or with frames its
    block i % D. What a call changes is donated to it, and nothing is copied to the
    host.
    """

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        devices: Sequence[jax.Device],
    ):
        """Compiles nothing yet."""
        self._config = config
        self._agent = agent
        self._devices = devices
        self._optimizer = make_optimizer(config.learner)
        self._steps = config.learner.steps_per_dispatch
        self._size = self._steps * config.learner.batch_size
        capacity = config.replay.capacity // len(devices)
        self._layout = None
        if config.replay.frame_stack is None:
            self._item = make_item_spec(config, spec)
            self._buffer = Buffer(config.replay, capacity)
        else:
            self._layout = FrameLayout(config, spec)
            self._item = self._layout.spec
            self._buffer = FrameBuffer(config, capacity, self._layout)
        self.forget()
        self._key = jax.random.PRNGKey(derive_seed(config.seed, "serial replay"))
        self._update = make_slice_update(agent, self._optimizer, config)
        if len(devices) == 1:
            self._learn = jax.jit(self._learn_alone, donate_argnums=0)
            self._insert: Callable[..., BufferState] = jax.jit(
                self._insert_alone, donate_argnums=0
            )
        else:
            self._learn = jax.pmap(
                self._learn_slice,
                DEVICE_AXIS,
                in_axes=(0, 0, None),
                devices=devices,
                donate_argnums=0,
            )
            self._insert = map_over_devices(self._buffer.add, devices)

    def init(self) -> LearningState:
        """Returns the initial state, with empty replay."""
        key = jax.random.PRNGKey(derive_seed(self._config.seed, "learner"))
        train = init_state(self._agent, self._optimizer, key)
        buffer = jax.jit(lambda: self._buffer.init(self._item))()
        return LearningState(
            replicate(train, self._devices), replicate(buffer, self._devices)
        )

    def compile(self, state: LearningState) -> None:
        """Compiles `learn`; changes nothing."""
        changed = jax.tree.map(jnp.copy, (state.train, state.buffer.tree))
        ring = state.buffer._replace(tree=None)
        jax.block_until_ready(self._learn(changed, ring, np.uint32(0)))

    def put(self, items: Nest, priorities: np.ndarray) -> tuple[Nest, jax.Array]:
        """Puts a group of items `[M, ...]` on the devices, as `[D, M/D, ...]`.

        `priorities` are `[M] float32`; M is a multiple of D.
        """

        def deal(x: np.ndarray) -> np.ndarray:
            return x.reshape(-1, len(self._devices), *x.shape[1:]).swapaxes(0, 1)

        items, priorities = jax.tree.map(deal, (items, priorities))
        if self._layout is not None:
            items = stack_groups(
                [
                    memory.encode(jax.tree.map(lambda x, d=d: x[d], items))
                    for d, memory in enumerate(self._memories)
                ]
            )
        return put_slices((items, priorities), self._devices)

    def put_blocks(
        self, blocks: Sequence[FramedItems], priorities: np.ndarray
    ) -> tuple[Nest, jax.Array]:
        """Puts blocks of items with their frames on the devices, as `put` does.

        `priorities` are `[blocks, G] float32`; the blocks are a multiple of D.
        """
        assert self._layout is not None
        count, words = len(self._devices), self._layout.words
        items = stack_groups(
            [join_blocks(blocks[d::count], words) for d in range(count)]
        )
        dealt = [priorities[d::count].reshape(-1) for d in range(count)]
        return put_slices((items, np.stack(dealt)), self._devices)

    def forget(self) -> None:
        """Makes `put` send all frames again, as it does at the start of a process."""
        if self._layout is not None:
            kept = count_kept(self._config)
            self._memories = [FrameMemory(self._layout, kept) for _ in self._devices]

    def insert(
        self, state: LearningState, items: Nest, priorities: jax.Array
    ) -> LearningState:
        """Inserts a group from `put`; the given buffer is donated."""
        buffer = self._insert(state.buffer, items, priorities)
        inserted = state.inserted + priorities.size
        return state._replace(buffer=buffer, inserted=inserted)

    def learn(
        self, state: LearningState
    ) -> tuple[LearningState, UpdateOutput, Variables]:
        """Makes a dispatch; the given state is donated."""
        # The number of the dispatch, by which its random key differs.
        number = np.uint32(state.learner_steps // self._steps % 2**32)
        changed = (state.train, state.buffer.tree)
        ring = state.buffer._replace(tree=None)
        (train, tree), output, variables = self._learn(changed, ring, number)
        if len(self._devices) > 1:
            variables = copy_first_replica(variables)
        state = LearningState(
            train=train,
            buffer=state.buffer._replace(tree=tree),
            inserted=state.inserted,
            sampled=state.sampled + self._size,
            learner_steps=state.learner_steps + self._steps,
        )
        return state, output, variables

    def _insert_alone(
        self, buffer: BufferState, items: Nest, priorities: jax.Array
    ) -> BufferState:
        return add_axis(self._buffer.add(*drop_axis((buffer, items, priorities))))

    def _learn_alone(
        self, changed: _Changed, ring: BufferState, number: jax.Array
    ) -> tuple[_Changed, UpdateOutput, Variables]:
        """Calls `_learn_slice` for the only device."""
        changed, ring = drop_axis((changed, ring))
        changed, output, variables = self._learn_slice(changed, ring, number)
        return add_axis(changed), add_axis(output), variables

    def _learn_slice(
        self, changed: _Changed, ring: BufferState, number: jax.Array
    ) -> tuple[_Changed, UpdateOutput, Variables]:
        """Makes a device's part of a dispatch; the ring is not donated nor copied."""
        (train, tree), count = changed, len(self._devices)
        buffer = ring._replace(tree=tree)
        key = jax.random.fold_in(self._key, number)
        update = self._update
        if count == 1:
            update = map_alone(update)
        else:
            key = jax.random.fold_in(key, jax.lax.axis_index(DEVICE_AXIS))
        slots, probabilities = self._buffer.draw(buffer, key, self._size // count)
        superbatch = (self._buffer.read(buffer, slots), probabilities / count)
        steps = jax.tree.map(
            lambda x: x.reshape(self._steps, -1, *x.shape[1:]), superbatch
        )
        train, output = update(train, *steps)
        priorities = output.priorities.reshape(-1)
        priorities = priorities + self._config.replay.priority_epsilon
        tree = self._buffer.set_priorities(buffer, slots, priorities).tree
        return (train, tree), output, (train.params, train.network_state)
