"""How items are stored in Reverb: whole, or with each frame of a stack once."""

import collections
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.frames import FramedItems, FrameLayout, count_shared
from distrl.items import has_priority, make_stored_spec, stack_specs
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
        self._layout = layout = FrameLayout(config, spec)
        self._kept = _count_kept_frames(config, layout)
        self._is_on_server = config.replay.sampled_on == "server"
        # Its bits come first in a row.
        self._has_priorities = has_priority(config)
        width = self._has_priorities + layout.words + layout.indices
        self.signature = FramedItems(
            frames=tf.TensorSpec((None, *layout.frame.shape), layout.frame.dtype),
            words=tf.TensorSpec((config.replay.block_size, width), tf.int32),
        )
        # The frames of the last call of `encode`.
        self._recent: dict[bytes, bytes] = {}
        # The last step of the writer at which it appended a frame, oldest first.
        self._steps: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._next_step = 0
        self._columns: FramedItems | None = None

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns frames `[M, F] object`, of bytes, and words `[M, W] int32`."""
        priorities = None
        if self._has_priorities:
            items, priorities = items
        frames, words = self._layout.encode(items)
        if priorities is not None:
            words = np.concatenate([priorities[:, None].view(np.int32), words], axis=1)
        # Items wait in the pool: frames that they share are to be the same objects.
        known, self._recent = self._recent, {}
        for frame in frames.flat:
            self._recent.setdefault(frame, known.get(frame, frame))
        shared = np.array([self._recent[frame] for frame in frames.flat], object)
        return [shared.reshape(frames.shape), words]

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
            self._columns = FramedItems(*writer.history)
        steps = [self._steps[each] for each in places]
        trajectory = FramedItems(self._columns.frames[steps], self._columns.words[-1])
        writer.create_item(TABLE_NAME, priority, trajectory)
        while len(self._steps) > self._kept:
            self._steps.popitem(last=False)

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items, padded to the most frames of any item."""
        return dataset.padded_batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as one nest, `[items * G, ...]`.

        For replay on the devices, returns each as it was written, with the priorities
        `[G]` of its rows or None.
        """
        if not self._is_on_server:
            batches = (zip(*part, strict=True) for part in parts)
            return [self._split(*each) for each in itertools.chain(*batches)]
        heaps, rows, start = [], [], 0
        for frames, words in parts:
            count, most = frames.shape[:2]
            # Turn indices in an item's frames into indices in the heap.
            begins = start + most * np.arange(count, dtype=np.int32)
            row = np.array(words)
            row[..., self._layout.words :] += begins[:, None, None]
            heaps.append(frames.reshape(-1, *frames.shape[2:]))
            rows.append(row)
            start += count * most
        return self._layout.decode(join(heaps), take_in_turn(join(rows)))

    def _split(
        self, frames: np.ndarray, words: np.ndarray
    ) -> tuple[FramedItems, np.ndarray | None]:
        """Returns an item without padding, and its priorities."""
        priorities = None
        if self._has_priorities:
            priorities, words = words[:, 0].view(np.float32), words[:, 1:]
        count = words[:, self._layout.words :].max() + 1
        return FramedItems(frames[:count], words), priorities

    def _append(
        self, writer: reverb.TrajectoryWriter, frame: bytes | None, words: Any
    ) -> None:
        """Appends a step to one of the two columns, or to both."""
        content = None
        if frame is not None:
            content = self._layout.read_frame(frame)
            self._steps[frame] = self._next_step
            self._steps.move_to_end(frame)
        writer.append((content, words))
        self._next_step += 1


def make_form(config: Config, spec: EnvironmentSpec) -> WholeForm | FrameForm:
    """Returns the form in which items are stored: whole, or as frames."""
    if config.replay.frame_stack is None:
        return WholeForm(config, spec)
    return FrameForm(config, spec)


def _count_kept_frames(config: Config, layout: FrameLayout) -> int:
    """Returns how many of its newest frames an actor keeps for its items to share.

    Where the server draws items, they are written shuffled. With this many, a frame is
    sent once if an environment has one new frame per step, and there is room for an
    item whose observations are not stacks. For replay on the devices each block has all
    of its frames.
    """
    shared = 2 * replay_sizes(config).pool + count_shared(config)
    is_on_server = config.replay.sampled_on == "server"
    return shared * is_on_server + config.replay.block_size * layout.indices


def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the concatenation; a single array is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def take_in_turn(leaf: np.ndarray) -> np.ndarray:
    """Returns `[items * G, ...]` of `[items, G, ...]`: the first of each item first."""
    return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])
