"""Weights of many slots: draws in proportion to them, and changes of many at once.

Each level of a binary tree costs a gather to draw and a scatter to set, and scatters
are slow on a CPU. So the leaves of the tree are blocks of 32 weights, and a change sums
all of them again, which is faster than a scatter per level (docs/benchmarks.md).
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

_WIDTH = 32


class SumTree(NamedTuple):
    """Weights, at least 0, and their sums.

    Attributes:
      weights: `[blocks, 32] float32`; slot i is in block i // 32. Unused ones are 0.
      sums: `[2^(depth+1) - 1] float32`, a binary heap: node i has the children 2i + 1
        and 2i + 2; the last level has the sums of the blocks, then zeros.
    """

    weights: jax.Array
    sums: jax.Array


def init(size: int) -> SumTree:
    """Returns the tree of `size` slots, whose weights are 0."""
    blocks = -(-size // _WIDTH)
    sums = jnp.zeros(2 * 2 ** math.ceil(math.log2(blocks)) - 1, jnp.float32)
    return SumTree(jnp.zeros((blocks, _WIDTH), jnp.float32), sums)


def set_weights(tree: SumTree, slots: jax.Array, weights: jax.Array) -> SumTree:
    """Sets the weights `[M] float32` of slots `[M] int32`.

    If a slot occurs more than once, the last weight counts.
    """
    chex.assert_equal_shape([slots, weights])
    flat = tree.weights.reshape(-1)
    if jax.default_backend() != "cpu":
        # Only on a CPU are equal indices of a scatter set one after the other.
        last = jax.ops.segment_max(jnp.arange(len(slots)), slots, len(flat))[slots]
        weights = weights[last]
    flat = flat.at[slots].set(weights, mode="promise_in_bounds")
    changed = flat.reshape(tree.weights.shape)
    level = jnp.sum(changed, axis=1)
    levels = [jnp.zeros((len(tree.sums) + 1) // 2).at[: len(level)].set(level)]
    while len(levels[-1]) > 1:
        levels.append(jnp.sum(levels[-1].reshape(-1, 2), axis=1))
    return SumTree(changed, jnp.concatenate(levels[::-1]))


def total(tree: SumTree) -> jax.Array:
    """Returns the sum of all weights, `[] float32`."""
    return tree.sums[0]


def draw(tree: SumTree, key: chex.PRNGKey, size: int) -> tuple[jax.Array, jax.Array]:
    """Draws slots independently, in proportion to their weights.

    Returns:
      slots: `[size] int32`.
      weights: `[size] float32`, of these slots; above 0 unless all weights are 0.
    """
    # A float32 has too few values for a million slots: a second number draws within
    # the block. Two short draws are several times as fast as one on a CPU.
    value_key, within_key = jax.random.split(key)
    value = jax.random.uniform(value_key, (size,)) * total(tree)
    within = jax.random.uniform(within_key, (size,))
    node = jnp.zeros(size, jnp.int32)
    for _ in range(len(tree.sums).bit_length() - 1):
        left = tree.sums.at[2 * node + 1].get(mode="promise_in_bounds")
        is_right = value >= left
        value = jnp.where(is_right, value - left, value)
        node = 2 * node + 1 + is_right
    block = node - len(tree.sums) // 2
    rows = tree.weights[block]
    target = within * jnp.sum(rows, axis=1)
    place, below = jnp.zeros(size, jnp.int32), rows[:, 0]
    for column in range(1, _WIDTH):
        place = place + (target >= below)
        below = below + rows[:, column]
    slots = block * _WIDTH + place
    weights = tree.weights.reshape(-1)[slots]
    # Rounding may lead past the last weight above 0; then another draw takes its place.
    spare = jnp.argmax(weights)
    return (
        jnp.where(weights > 0, slots, slots[spare]),
        jnp.where(weights > 0, weights, weights[spare]),
    )
