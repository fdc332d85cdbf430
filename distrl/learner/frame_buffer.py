"""Replay on the device with each frame of a stack once, in a ring of its own."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distrl.config import Config
from distrl.frames import (
    FramedItems,
    FrameLayout,
    count_kept,
    count_ring_frames,
)
from distrl.learner.buffer import Buffer, BufferState
from distrl.types import Nest


class FrameRing(NamedTuple):
    """Frames, and the items that refer to them.

    Attributes:
      frames: `[R, ..., C]`, a ring of R frames.
      next: `[] int32`, the place of the next frame.
      words: `[capacity, W + F] int32`, the row of each item, with places in the ring.
      ages: `[capacity] int32`, the frames that were added since the item's group began,
        at most R + 1.
    """

    frames: jax.Array
    next: jax.Array
    words: jax.Array
    ages: jax.Array


class FrameGroup(NamedTuple):
    """New items and their frames.

    Attributes:
      frames: `[P, ..., C]`; what follows the first `count` is padding.
      words: `[M, W + F] int32`, with indices relative to the first new frame.
      count: `[] int32`.
    """

    frames: Nest
    words: Nest
    count: Nest


class FrameBuffer(Buffer):
    """A buffer whose items leave with the first of their frames.

    That is usually later than the item itself: the ring of frames has some room to
    spare. Episodes of a few steps have more frames per item. The valid items are always
    the newest ones.
    """

    def __init__(self, config: Config, capacity: int, layout: FrameLayout):
        """Holds `capacity` items, of the kind and with the exponent of `config`."""
        super().__init__(config.replay, capacity)
        self._layout = layout
        self._size = count_ring_frames(config, layout.indices, capacity)
        # A group may refer to frames that came before it.
        self._oldest = self._size - count_kept(config)

    def init(self, item: FramedItems) -> BufferState:
        """Returns an empty buffer; `item` has the specs of a frame and of a row."""
        state = super().init(item.words)
        ring = FrameRing(
            frames=jnp.zeros((self._size, *item.frames.shape), item.frames.dtype),
            next=jnp.zeros((), jnp.int32),
            words=state.items,
            ages=jnp.full(self._capacity, self._size + 1, jnp.int32),
        )
        return state._replace(items=ring)

    def _store(
        self, state: BufferState, slots: jax.Array, items: FrameGroup
    ) -> BufferState:
        """Stores a group, and takes items out whose frames it overwrites."""
        ring, size, first = state.items, self._size, self._layout.words
        number = jnp.arange(len(items.frames))
        place = jnp.where(number < items.count, (ring.next + number) % size, size)
        words = items.words.at[:, first:].set(
            (items.words[:, first:] + ring.next) % size
        )
        ages = jnp.minimum(ring.ages + items.count, size + 1)
        ring = FrameRing(
            frames=ring.frames.at[place].set(items.frames, mode="drop"),
            next=(ring.next + items.count) % size,
            words=ring.words.at[slots].set(words),
            ages=ages.at[slots].set(items.count),
        )
        tree = state.tree
        if tree is not None:
            # The sums follow, when the new items get their weights.
            weights = tree.weights.reshape(-1)
            kept = jnp.where(self._is_valid(ring), weights[: self._capacity], 0.0)
            weights = weights.at[: self._capacity].set(kept)
            tree = tree._replace(weights=weights.reshape(tree.weights.shape))
        return state._replace(items=ring, tree=tree)

    def _take(self, held: FrameRing, slots: jax.Array) -> Nest:
        return self._layout.decode(held.frames, held.words[slots])

    def _find_valid(self, state: BufferState) -> tuple[jax.Array, jax.Array]:
        _, held = super()._find_valid(state)
        count = jnp.sum(self._is_valid(state.items))
        # While all are valid, draws are those of a buffer of whole items.
        return jnp.where(count < held, state.added - count, 0), count

    def _is_valid(self, ring: FrameRing) -> jax.Array:
        return ring.ages <= self._oldest


class FrameMemory:
    """Finds the frames that replay on a device already has, by their bytes."""

    def __init__(self, layout: FrameLayout, kept: int):
        """Remembers the newest `kept` frames before each group."""
        self._layout = layout
        self._kept = kept
        self._numbers: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._count = 0

    def encode(self, items: Nest) -> FramedItems:
        """Returns items `[M, ...]` with their new frames, as in `FrameGroup`."""
        numbers, first = self._numbers, self._count
        while numbers and next(iter(numbers.values())) < first - self._kept:
            numbers.popitem(last=False)
        frames, words = self._layout.encode(items)
        new, index = [], []
        for frame in frames.flat:
            number = numbers.setdefault(frame, self._count)
            if number == self._count:
                new.append(self._layout.read_frame(frame))
                self._count += 1
            index.append(number - first)
        shape = self._layout.frame.shape
        rows = np.reshape(index, frames.shape).astype(np.int32)
        return FramedItems(
            np.reshape(new, (-1, *shape)).astype(self._layout.frame.dtype),
            np.concatenate([words, rows], axis=1),
        )


def join_blocks(blocks: Sequence[FramedItems], first: int) -> FramedItems:
    """Returns blocks as one; the indices begin at column `first`."""
    counts = [len(block.frames) for block in blocks]
    words = np.stack([block.words for block in blocks])
    words[:, :, first:] += np.cumsum([0, *counts[:-1]], dtype=np.int32)[:, None, None]
    frames = np.concatenate([block.frames for block in blocks])
    return FramedItems(frames, words.reshape(-1, words.shape[-1]))


def stack_groups(groups: Sequence[FramedItems]) -> FrameGroup:
    """Returns the groups of D devices, `[D, ...]`, padded to a power of two frames.

    So inserting compiles for a few sizes only.
    """
    counts = [len(group.frames) for group in groups]
    size = 1 << (max(1, *counts) - 1).bit_length()
    first = groups[0].frames
    frames = np.zeros((len(groups), size, *first.shape[1:]), first.dtype)
    for padded, group in zip(frames, groups, strict=True):
        padded[: len(group.frames)] = group.frames
    words = np.stack([group.words for group in groups])
    return FrameGroup(frames, words, np.array(counts, np.int32))
