"""Replay on the device: a ring of items, drawn uniformly or by priority."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from distrl.config import ReplayConfig
from distrl.learner import sum_tree
from distrl.types import Nest


class BufferState(NamedTuple):
    """The content of replay.

    Attributes:
      items: nest of `[capacity, ...]`, one item per slot; or a `FrameRing`.
      added: `[] int32`, the items added since the start, modulo 2 * capacity; modulo
        the capacity it is the next slot, and at least the capacity once all are in use.
      tree: the weight of each slot, priority^priority_exponent; None in uniform replay.
    """

    items: Nest
    added: jax.Array
    tree: sum_tree.SumTree | None


class Buffer:
    """Pure functions of uniform or prioritized replay (arXiv 1511.05952).

    The oldest item leaves first. The probability of an item is proportional to
    priority^priority_exponent, which is 0 for a priority of 0. While all are 0, draws
    are uniform. Reverb does the same.
    """

    def __init__(self, config: ReplayConfig, capacity: int):
        """Holds `capacity` items, of the kind and with the exponent of `config`."""
        self._capacity = capacity
        self._exponent = config.priority_exponent
        self._is_prioritized = config.kind == "prioritized"

    def init(self, item: Nest) -> BufferState:
        """Returns an empty buffer; `item` is a nest of specs or arrays."""
        items = jax.tree.map(
            lambda x: jnp.zeros((self._capacity, *x.shape), x.dtype), item
        )
        tree = sum_tree.init(self._capacity) if self._is_prioritized else None
        return BufferState(items, jnp.zeros((), jnp.int32), tree)

    def add(
        self, state: BufferState, items: Nest, priorities: jax.Array
    ) -> BufferState:
        """Adds items `[M, ...]` with priorities `[M] float32`; M <= the capacity."""
        size = self._capacity
        slots = (jnp.arange(len(priorities)) + state.added) % size
        state = self._store(state, slots, items)
        added = state.added + len(priorities)
        # Stays at least the capacity, and never overflows.
        added = jnp.where(added >= 2 * size, added - size, added)
        state = state._replace(added=added)
        return self.set_priorities(state, slots, priorities)

    def draw(
        self, state: BufferState, key: chex.PRNGKey, size: int
    ) -> tuple[jax.Array, jax.Array]:
        """Draws items independently, with replacement; the state must not be empty.

        Returns:
          slots: `[size] int32`, where the items are.
          probabilities: `[size] float32`, of each draw.
        """
        first, count = self._find_valid(state)

        def draw_uniformly() -> tuple[jax.Array, jax.Array]:
            slots = first + jax.random.randint(key, (size,), 0, count)
            return slots % self._capacity, jnp.full(size, 1.0 / count, jnp.float32)

        tree = state.tree
        if tree is None:
            return draw_uniformly()

        def draw_by_weight() -> tuple[jax.Array, jax.Array]:
            slots, weights = sum_tree.draw(tree, key, size)
            return slots, weights / sum_tree.total(tree)

        return jax.lax.cond(sum_tree.total(tree) > 0, draw_by_weight, draw_uniformly)

    def read(self, state: BufferState, slots: jax.Array) -> Nest:
        """Returns the items `[n, ...]` in slots `[n]`."""
        return self._take(state.items, slots)

    def set_priorities(
        self, state: BufferState, slots: jax.Array, priorities: jax.Array
    ) -> BufferState:
        """Sets priorities `[M]` of `slots` `[M]`; if a slot occurs twice, the last."""
        if state.tree is None:
            return state
        weights = jnp.where(priorities > 0, priorities**self._exponent, 0.0)
        return state._replace(tree=sum_tree.set_weights(state.tree, slots, weights))

    def _store(self, state: BufferState, slots: jax.Array, items: Nest) -> BufferState:
        """Stores items `[M, ...]` in slots `[M]`."""
        held = jax.tree.map(lambda old, x: old.at[slots].set(x), state.items, items)
        return state._replace(items=held)

    def _take(self, held: Nest, slots: jax.Array) -> Nest:
        """Returns the items of slots `[M]`, `[M, ...]`."""
        return jax.tree.map(lambda x: x[slots], held)

    def _find_valid(self, state: BufferState) -> tuple[jax.Array, jax.Array]:
        """Returns the first slot with an item and how many follow it, in the ring."""
        return jnp.int32(0), jnp.minimum(state.added, self._capacity)
