"""Replay on the device, from flashbax's ring of items and its tree of priorities.

flashbax's own prioritized buffer (0.0.1) is made for overlapping sequences of steps.
For single items it hides the oldest two, gives new ones the largest priority so far,
draws in the order of the ring, and takes as long as the update. So only the ring and
the tree are flashbax's; drawing and writing are done here.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flashbax.buffers import sum_tree, trajectory_buffer

from distrl.config import ReplayConfig


class BufferState(NamedTuple):
    """The content of replay.

    Attributes:
      ring: flashbax's `TrajectoryBufferState`: items `[1, capacity, ...]`, the next
        slot to be written, and whether all slots are in use.
      tree: flashbax's `SumTreeState` over priority^priority_exponent of each slot;
        `()` in uniform replay.
    """

    ring: Any
    tree: Any


class Draw(NamedTuple):
    """Items drawn independently of each other, with replacement.

    Attributes:
      slots: `[size] int32`, their slots in the ring.
      items: a `Transition` or `StepSequence` of `[size, ...]`.
      probabilities: `[size] float32`, of each draw.
    """

    slots: jax.Array
    items: Any
    probabilities: jax.Array


class Buffer:
    """Pure functions of uniform or prioritized replay (arXiv 1511.05952).

    The oldest item leaves first. The probability of an item is proportional to
    priority^priority_exponent, which is 0 for a priority of 0. While all are 0, draws
    are uniform. Reverb does the same.
    """

    def __init__(self, config: ReplayConfig):
        """Takes the capacity, the kind and the exponent from `config`."""
        self._capacity = config.capacity
        self._exponent = config.priority_exponent
        self._is_prioritized = config.kind == "prioritized"

    def init(self, item: Any) -> BufferState:
        """Returns an empty buffer; `item` is a nest of specs or arrays."""
        empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), item)
        # The time axis is the whole buffer; single steps are drawn from it.
        ring = trajectory_buffer.init(empty, 1, self._capacity)
        tree = sum_tree.init(self._capacity) if self._is_prioritized else ()
        return BufferState(ring, tree)

    def add(self, state: BufferState, items: Any, priorities: jax.Array) -> BufferState:
        """Adds items `[M, ...]` with priorities `[M] float32`; M <= the capacity."""
        ring = trajectory_buffer.add(state.ring, jax.tree.map(lambda x: x[None], items))
        slots = jnp.arange(len(priorities)) + state.ring.current_index
        return self.set_priorities(
            state._replace(ring=ring), slots % self._capacity, priorities
        )

    def draw(self, state: BufferState, key: chex.PRNGKey, size: int) -> Draw:
        """Draws items; the state must not be empty."""
        is_full, index = state.ring.is_full, state.ring.current_index
        held = jnp.where(is_full, self._capacity, index)
        uniform_key, tree_key = jax.random.split(key)
        slots = jax.random.randint(uniform_key, (size,), 0, held)
        probabilities = jnp.full(size, 1.0 / held, jnp.float32)
        if self._is_prioritized:
            slots, probabilities = _draw_from_tree(
                state.tree, tree_key, slots, probabilities
            )
        items = jax.tree.map(lambda x: x[0, slots], state.ring.experience)
        return Draw(slots, items, probabilities)

    def set_priorities(
        self, state: BufferState, slots: jax.Array, priorities: jax.Array
    ) -> BufferState:
        """Sets priorities `[M]` of `slots` `[M]`; if a slot occurs twice, the last."""
        if not self._is_prioritized:
            return state
        powers = jnp.where(priorities > 0, priorities**self._exponent, 0.0)
        return state._replace(tree=_write_leaves(state.tree, slots, powers))


def _draw_from_tree(
    tree: sum_tree.SumTreeState,
    key: chex.PRNGKey,
    uniform_slots: jax.Array,
    uniform_probabilities: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns slots `[size]` drawn by weight, and the probabilities of the draws."""
    values = jax.random.uniform(key, uniform_slots.shape)
    slots = jax.vmap(sum_tree.sample, (None, None, 0))(tree, None, values)
    weights = sum_tree.get_batch(tree, slots)
    # Rounding puts one draw in many millions past the last leaf above 0.
    slots = jnp.where(weights > 0, slots, slots[jnp.argmax(weights)])
    weights = jnp.where(weights > 0, weights, jnp.max(weights))
    total = tree.nodes[0]
    return (
        jnp.where(total > 0, slots, uniform_slots),
        jnp.where(total > 0, weights / total, uniform_probabilities),
    )


def _write_leaves(
    tree: sum_tree.SumTreeState, slots: jax.Array, weights: jax.Array
) -> sum_tree.SumTreeState:
    """Returns the tree with new leaves, and the sums above them recomputed.

    flashbax adds differences to the sums, one leaf after the other, which is slower and
    accumulates rounding errors over the whole run.
    """
    order = jnp.arange(len(slots))
    last = jax.ops.segment_max(order, slots, num_segments=tree.capacity)[slots]
    place = slots + 2**tree.tree_depth - 1
    nodes = tree.nodes.at[place].set(weights[last])

    def go_up(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        nodes, place = carry
        place = (place - 1) // 2
        sums = nodes[2 * place + 1] + nodes[2 * place + 2]
        return nodes.at[place].set(sums), place

    nodes, _ = jax.lax.fori_loop(0, tree.tree_depth, go_up, (nodes, place))
    return tree.replace(nodes=nodes)
