"""Storage of items whose observations are stacks of frames, each frame stored once.

A frame is a cell of a Reverb writer, in a chunk of its own. Everything that shows the
frame refers to it: both observations of a transition, the transitions before and after,
and the other items of the writer. Reverb drops a chunk once no item refers to it.

Frames are compared byte by byte, whatever their origin. So ends of episodes, windows of
any length and environments without frame stacks need no rule; they only share less.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.frames import check_frame_stack, join_frames, make_frame_spec
from distrl.items import ItemParts, join_item, make_item_spec, split_item
from distrl.replay.forms import take_in_turn
from distrl.replay.frame_encoder import FramedItem, FrameEncoder
from distrl.types import EnvironmentSpec


class FrameForm:
    """Stores each frame once, and the rest of an item as a row of 32-bit words.

    Each part of an item costs Reverb about a hundred bytes, and more time than its
    content. So everything but the frames is one part.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Raises ConfigError unless observations are stacks of `replay.frame_stack`."""
        stack = config.replay.frame_stack
        check_frame_stack(stack, spec)
        assert stack is not None
        self._stack = stack
        self._item = make_item_spec(config, spec)
        self._frame = make_frame_spec(spec, stack)
        self._kept = count_kept_frames(config)
        observations, rest = split_item(self._item)
        # Frames per field: of one observation, or of all of a sequence.
        self._frames = [
            _count(leaf.shape) // _count(self._frame.shape) for leaf in observations
        ]
        self._numbers = [_count(leaf.shape) for leaf in rest]
        self.signature = FramedItem(
            frames=tf.TensorSpec((None, *self._frame.shape), self._frame.dtype),
            words=tf.TensorSpec(
                (config.replay.block_size, sum(self._numbers + self._frames)), tf.int32
            ),
        )

    def make_encoder(self) -> FrameEncoder:
        """Returns an encoder for one writer."""
        return FrameEncoder(self._item, self._frame, self._kept)

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items, padded to the most frames of any item."""
        return dataset.padded_batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as `WholeForm.decode` does."""
        heaps, rows, start = [], [], 0
        for frames, words in parts:
            count, most = frames.shape[:2]
            # Turn indices in an item's frames into indices in the heap.
            begins = start + most * np.arange(count, dtype=np.int32)
            row = np.array(words)
            row[..., sum(self._numbers) :] += begins[:, None, None]
            heaps.append(frames.reshape(-1, *frames.shape[2:]))
            rows.append(row)
            start += count * most
        heap = heaps[0] if len(heaps) == 1 else np.concatenate(heaps)
        row = take_in_turn(rows[0] if len(rows) == 1 else np.concatenate(rows))
        ends = np.cumsum(self._numbers + self._frames)[:-1]
        columns = np.split(row, ends, axis=1)
        observations, rest = split_item(self._item)
        count = len(rest)

        def observe(index: np.ndarray, leaf: Any) -> np.ndarray:
            stacks = heap[index.reshape(-1, self._stack)]
            return join_frames(stacks).reshape(-1, *leaf.shape)

        def unpack(bits: np.ndarray, leaf: Any) -> np.ndarray:
            if leaf.dtype.itemsize == 1:
                return bits.astype(leaf.dtype).reshape(-1, *leaf.shape)
            bits = np.ascontiguousarray(bits)
            return bits.view(leaf.dtype).reshape(-1, *leaf.shape)

        return join_item(
            self._item,
            ItemParts(
                list(map(observe, columns[count:], observations)),
                list(map(unpack, columns[:count], rest)),
            ),
        )


def count_kept_frames(config: Config) -> int:
    """Returns how many of its newest frames an actor keeps for its items to share.

    A frame appears in the items that begin up to `frame_stack` steps after it. They are
    written once they are `n_step` or `sequence_length` steps long, and shuffled. With
    this many, a frame is sent once if an environment has one new frame per step, and
    there is room for an item whose observations are not stacks.
    """
    replay, steps, observations = config.replay, config.actor.n_step, 2
    if replay.sequence_length is not None:
        steps, observations = replay.sequence_length, replay.sequence_length + 1
    stack = replay.frame_stack
    assert stack is not None
    shared = 2 * replay_sizes(config).pool + config.actor.environments * (stack + steps)
    return shared + replay.block_size * observations * stack


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))
