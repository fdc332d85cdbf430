"""Items whose observations are stacks of frames, with each frame once.

An item is a row of 32-bit words: the bits of everything but its observations, then the
indices of the frames of its observations.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import tree
from dm_env import specs

from distrl.config.schema import Config
from distrl.items import (
    check_frame_stack,
    count_bytes,
    make_frame_spec,
    make_item_spec,
    sort_leaves,
)
from distrl.types import EnvironmentSpec

MOST_INSERTED = 512
"""The most items that replay on the devices gets at once, unless a block has more."""

# Room in replay on the devices for the additional frames at the ends of episodes.
_MARGIN = 1.25


class FramedItems(NamedTuple):
    """Items and the frames that they refer to, as arrays or their specs.

    Attributes:
      frames: `[U, ..., C]`, the frames.
      words: `[M, W + F] int32`, a row for each item.
    """

    frames: Any
    words: Any


class FrameLayout:
    """Where the parts of an item are in its row.

    Attributes:
      frame: the spec of a frame.
      spec: the specs of a frame and of a row.
      words: W, the words before the indices.
      indices: F, the indices.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Raises ConfigError unless observations are stacks of `replay.frame_stack`."""
        stack = config.replay.frame_stack
        check_frame_stack(stack, spec)
        assert stack is not None
        self._stack = stack
        self._item = make_item_spec(config, spec)
        self.frame = make_frame_spec(spec, stack)
        leaves, size = tree.flatten(self._item), math.prod(self.frame.shape)
        self._observed, self._rest = sort_leaves(self._item)
        # Of each leaf; an observation is one stack, or one for each step of a sequence.
        self._widths = {i: math.prod(leaves[i].shape) for i in self._rest}
        self.words = sum(self._widths.values())
        for i in self._observed:
            self._widths[i] = math.prod(leaves[i].shape) // size
        self.indices = sum(self._widths.values()) - self.words
        row = specs.Array((self.words + self.indices,), np.int32)
        self.spec = FramedItems(self.frame, row)

    def encode(self, items: Any) -> FramedItems:
        """Returns items `[M, ...]` as frames `[M, F] object`, of bytes, and words.

        The words are `[M, W] int32`, still without indices.
        """
        leaves = tree.flatten(items)
        count = len(leaves[0])
        frames = [self._list_frames(leaves[i]) for i in self._observed]
        words = [_pack_words(leaves[i]) for i in self._rest]
        return FramedItems(
            *(
                np.concatenate([part.reshape(count, -1) for part in parts], axis=1)
                for parts in (frames, words)
            )
        )

    def read_frame(self, content: bytes) -> np.ndarray:
        """Returns a frame from its bytes."""
        return np.frombuffer(content, self.frame.dtype).reshape(self.frame.shape)

    def decode(self, frames: Any, words: Any) -> Any:
        """Returns items `[M, ...]` of rows `[M, W + F]`, all from numpy or from JAX."""
        leaves, start = tree.flatten(self._item), 0
        for i, width in self._widths.items():
            spec, column = leaves[i], words[:, start : start + width]
            start += width
            if i in self._observed:
                stacks = frames[column.reshape(-1, self._stack)]
                values = np.moveaxis(stacks, 1, -2)
            elif spec.dtype.itemsize == 1:
                values = column.astype(spec.dtype)
            else:
                values = column.view(spec.dtype)
            leaves[i] = values.reshape(-1, *spec.shape)
        return tree.unflatten_as(self._item, leaves)

    def _list_frames(self, observations: np.ndarray) -> np.ndarray:
        """Returns the bytes of the frames of observations, in order."""
        *shape, channels = self.frame.shape
        stacks = observations.reshape(-1, *shape, self._stack, channels)
        frames = np.ascontiguousarray(np.moveaxis(stacks, -2, 1))
        size = math.prod(self.frame.shape) * self.frame.dtype.itemsize
        return frames.ravel().view(f"V{size}").astype(object)


def count_shared(config: Config) -> int:
    """Returns how many of its newest frames an actor shares between steps.

    A frame appears in the items that begin up to `frame_stack` steps after it, which
    are complete once they are `n_step` or `sequence_length` steps long.
    """
    replay, stack = config.replay, config.replay.frame_stack
    assert stack is not None
    steps = replay.sequence_length or config.actor.n_step
    return config.actor.environments * (stack + steps)


def count_kept(config: Config) -> int:
    """Returns how many frames before a group of new items its items may refer to.

    A block brings all of its frames; only the serial backend inserts single steps.
    """
    return 2 * count_shared(config) if config.launch.backend == "serial" else 0


def count_ring_frames(config: Config, indices: int, capacity: int) -> int:
    """Returns the frames that the replay of one device has room for.

    Args:
      indices: F, of one item.
      capacity: the items that it has room for.
    """
    replay, stack = config.replay, config.replay.frame_stack
    assert stack is not None
    step = 1 if replay.sequence_length is None else replay.sequence_stride
    block, frames = 1, step
    if config.launch.backend != "serial":
        block = replay.block_size
        length = replay.sequence_length or config.actor.n_step
        frames = min(step * (block - 1) + length + stack, block * indices)
    usual = math.ceil(_MARGIN * capacity * frames / block)
    # A group fits even if its items share no frame.
    group = min(capacity, max(MOST_INSERTED, block, config.actor.environments))
    return max(usual, group * indices) + count_kept(config)


def count_framed_bytes(config: Config, spec: EnvironmentSpec) -> int:
    """Returns the bytes per item of a replay on the devices, rounded up."""
    layout, capacity = FrameLayout(config, spec), config.replay.capacity
    frames = count_ring_frames(config, layout.indices, capacity)
    # With the item's age, of 32 bits as well.
    words = count_bytes(layout.spec.words) + 4
    return math.ceil(frames * count_bytes(layout.frame) / capacity) + words


def _pack_words(leaf: np.ndarray) -> np.ndarray:
    """Returns an array's bits as `int32`; an action mask as one number per entry."""
    if leaf.dtype.itemsize == 1:
        return leaf.astype(np.int32)
    return np.ascontiguousarray(leaf).view(np.int32)
