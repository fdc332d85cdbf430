"""How items are stored in Reverb: whole, or with each frame of a stack once."""

import collections
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.items import (
    check_frame_stack,
    make_frame_spec,
    make_stored_spec,
    sort_leaves,
    stack_specs,
)
from distrl.types import EnvironmentSpec

TABLE_NAME = "replay"


class WholeForm:
    """Stores each part of an item as an array `[G, ...]`, observations included.

    Each writer and sampler has a form of its own.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Takes the signature from the item's specs."""
        items = stack_specs(make_stored_spec(config, spec), config.replay.block_size)
        self.signature = tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), items
        )

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns a batch of transitions or sequences as arrays `[M, ...]`.

        `write` takes G of their rows, `[G, ...]`, as an item.
        """
        return [np.asarray(leaf) for leaf in tree.flatten(items)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a new writer."""
        writer = client.trajectory_writer(1)
        columns = len(tree.flatten(self.signature))
        # Sampling any step of a chunk sends and unpacks the whole chunk.
        for index in range(columns):
            writer.configure((index,), num_keep_alive_refs=1, max_chunk_length=1)
        # A writer configures only the columns in its structure.
        writer._update_structure((None,) * columns)
        return writer

    def write(
        self, writer: reverb.TrajectoryWriter, priority: float, item: Sequence[Any]
    ) -> None:
        """Appends an item's data, and the item that refers to it."""
        # TrajectoryWriter's append and create_item walk through nests in Python, which
        # takes as long as the rest of the work on an item. An item is a flat tuple, so
        # this calls directly what they call in the end.
        columns = writer._writer
        references = [[reference] for reference in columns.Append(list(item))]
        columns.CreateItem(TABLE_NAME, priority, references, [True] * len(item))

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items; the last one may be smaller."""
        return dataset.batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as one nest, `[items * G, ...]`.

        Takes one transition of each item in turn: a batch of the learner is a run of
        transitions, so it comes from as many items as possible and is little
        correlated. `parts` are batches of items, each the leaves of the signature with
        a batch axis.
        """
        leaves = [take_in_turn(join(each)) for each in zip(*parts, strict=True)]
        return tree.unflatten_as(self.signature, leaves)


class FramedItem(NamedTuple):
    """An item of G transitions, or of one sequence, as Reverb stores it.

    Attributes:
      frames: `[U, ..., C]`, its distinct frames.
      words: `[G, W + F] int32`, for each transition: the bits of everything but the
        observations, then the indices in `frames` of its observations' frames.
    """

    frames: Any
    words: Any


class FrameForm:
    """Stores each frame once, and the rest of an item as a row of 32-bit words.

    A frame is a cell of a Reverb writer, in a chunk of its own. Everything that shows
    the frame refers to it: both observations of a transition, and the other items of
    the writer. Reverb drops a chunk once no item refers to it. Frames are compared byte
    by byte, so ends of episodes, windows of any length and environments without frame
    stacks need no rule; they only share less.

    Each part of an item costs Reverb about a hundred bytes, and more time than its
    content. So everything but the frames is one part. The methods are those of
    `WholeForm`.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Raises ConfigError unless observations are stacks of `replay.frame_stack`."""
        stack = config.replay.frame_stack
        check_frame_stack(stack, spec)
        assert stack is not None
        self._stack = stack
        self._item = make_stored_spec(config, spec)
        self._frame = make_frame_spec(spec, stack)
        self._kept = _count_kept_frames(config)
        self._observed, self._rest = sort_leaves(self._item)
        leaves, size = tree.flatten(self._item), math.prod(self._frame.shape)
        # Words of each leaf, then frames of each: of one observation or of a sequence.
        words = [math.prod(leaves[i].shape) for i in self._rest]
        frames = [math.prod(leaves[i].shape) // size for i in self._observed]
        self._ends = np.cumsum(words + frames)
        self._words = sum(words)
        self.signature = FramedItem(
            frames=tf.TensorSpec((None, *self._frame.shape), self._frame.dtype),
            words=tf.TensorSpec((config.replay.block_size, self._ends[-1]), tf.int32),
        )
        # The last step of the writer at which it appended a frame, oldest first.
        self._steps: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._next_step = 0
        self._columns: FramedItem | None = None

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns frames `[M, F] object`, of bytes, and words `[M, W] int32`."""
        leaves = tree.flatten(items)
        count = len(leaves[0])
        frames = [self._list_frames(leaves[i]) for i in self._observed]
        words = [_pack_words(leaves[i]) for i in self._rest]
        return [
            np.concatenate([part.reshape(count, -1) for part in parts], axis=1)
            for parts in (frames, words)
        ]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns the form's only writer."""
        # This is the number of steps that unconfigured columns keep.
        writer = client.trajectory_writer(self._kept)
        for index, kept in enumerate((self._kept, 1)):
            # Sampling any step of a chunk sends and unpacks the whole chunk. Also,
            # Reverb turns two adjacent references to one chunk into a range of it.
            writer.configure((index,), num_keep_alive_refs=kept, max_chunk_length=1)
        return writer

    def write(
        self, writer: reverb.TrajectoryWriter, priority: float, item: Sequence[Any]
    ) -> None:
        """Appends the frames that the writer lacks, and an item that refers to all.

        The item is frames `[G, F]` and words `[G, W]`.
        """
        frames, words = item
        places: dict[bytes, int] = {}
        index = [places.setdefault(each, len(places)) for each in frames.flat]
        row = np.concatenate(
            [words, np.reshape(index, frames.shape).astype(np.int32)], axis=1
        )
        # At most len(places) steps are appended now, and as many old ones forgotten.
        oldest = max(0, self._next_step + len(places) - self._kept)
        missing = [each for each in places if self._steps.get(each, -1) < oldest]
        for frame in missing[:-1]:
            self._append(writer, frame, None)
        self._append(writer, missing[-1] if missing else None, row)
        if self._columns is None:
            self._columns = FramedItem(*writer.history)
        steps = [self._steps[each] for each in places]
        trajectory = FramedItem(self._columns.frames[steps], self._columns.words[-1])
        writer.create_item(TABLE_NAME, priority, trajectory)
        while len(self._steps) > self._kept:
            self._steps.popitem(last=False)

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items, padded to the most frames of any item."""
        return dataset.padded_batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as one nest, `[items * G, ...]`."""
        heaps, rows, start = [], [], 0
        for frames, words in parts:
            count, most = frames.shape[:2]
            # Turn indices in an item's frames into indices in the heap.
            begins = start + most * np.arange(count, dtype=np.int32)
            row = np.array(words)
            row[..., self._words :] += begins[:, None, None]
            heaps.append(frames.reshape(-1, *frames.shape[2:]))
            rows.append(row)
            start += count * most
        heap = join(heaps)
        columns = np.split(take_in_turn(join(rows)), self._ends[:-1], axis=1)
        leaves = tree.flatten(self._item)
        order = self._rest + self._observed
        for number, (i, column) in enumerate(zip(order, columns, strict=True)):
            spec = leaves[i]
            if number >= len(self._rest):
                stacks = heap[column.reshape(-1, self._stack)]
                values = np.moveaxis(stacks, 1, -2)
            elif spec.dtype.itemsize == 1:
                values = column.astype(spec.dtype)
            else:
                values = np.ascontiguousarray(column).view(spec.dtype)
            leaves[i] = values.reshape(-1, *spec.shape)
        return tree.unflatten_as(self._item, leaves)

    def _list_frames(self, observations: np.ndarray) -> np.ndarray:
        """Returns the bytes of the frames of observations, in order."""
        *shape, channels = self._frame.shape
        stacks = observations.reshape(-1, *shape, self._stack, channels)
        frames = np.ascontiguousarray(np.moveaxis(stacks, -2, 1))
        size = math.prod(self._frame.shape) * self._frame.dtype.itemsize
        return frames.ravel().view(f"V{size}").astype(object)

    def _append(
        self, writer: reverb.TrajectoryWriter, frame: bytes | None, words: Any
    ) -> None:
        """Appends a step to one of the two columns, or to both."""
        content = None
        if frame is not None:
            content = np.frombuffer(frame, self._frame.dtype).reshape(self._frame.shape)
            self._steps[frame] = self._next_step
            self._steps.move_to_end(frame)
        writer.append((content, words))
        self._next_step += 1


def make_form(config: Config, spec: EnvironmentSpec) -> WholeForm | FrameForm:
    """Returns the form in which items are stored: whole, or as frames."""
    if config.replay.frame_stack is None:
        return WholeForm(config, spec)
    return FrameForm(config, spec)


def _count_kept_frames(config: Config) -> int:
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


def _pack_words(leaf: np.ndarray) -> np.ndarray:
    """Returns an array's bits as `int32`; an action mask as one number per entry."""
    if leaf.dtype.itemsize == 1:
        return leaf.astype(np.int32)
    return np.ascontiguousarray(leaf).view(np.int32)


def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the concatenation; a single array is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def take_in_turn(leaf: np.ndarray) -> np.ndarray:
    """Returns `[items * G, ...]` of `[items, G, ...]`: the first of each item first."""
    return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])
