"""The writing side of `distrl.replay.frames`."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import reverb
import tree

from distrl.frames import split_frames
from distrl.items import split_item


class FramedItem(NamedTuple):
    """An item of G transitions, or of one sequence, as Reverb stores it.

    Attributes:
      frames: `[U, ..., C]`, its distinct frames.
      words: `[G, W + F] int32`, for each transition: the bits of everything but the
        observations, then the indices in `frames` of its observations' frames.
    """

    frames: Any
    words: Any


class Frame:
    """The bytes of a frame, and the last step of the writer that appended it."""

    __slots__ = ("content", "step")

    def __init__(self, content: bytes):
        """Starts at step -1, which is not a step of the writer."""
        self.content = content
        self.step = -1


class FrameEncoder:
    """Appends the frames that its writer lacks, and an item that refers to all."""

    def __init__(self, item: Any, frame: Any, kept: int):
        """Starts without frames.

        `item` is a nest of specs, `frame` a spec. `kept` is how many of its last steps
        the writer can refer to; more than the frames of any item.
        """
        self._item = item
        self._frame = frame
        self._kept = kept
        # By content, least recently seen first.
        self._recent: collections.OrderedDict[bytes, Frame] = collections.OrderedDict()
        self._columns: FramedItem | None = None
        self._steps = 0

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns frames `[M, F] object`, each a `Frame`, and words `[M, W] int32`."""
        tree.map_structure(_check, self._item, items)
        observations, rest = split_item(items)
        count = len(rest[0])
        frames = [self._list_frames(each).reshape(count, -1) for each in observations]
        words = [_pack_words(leaf).reshape(count, -1) for leaf in rest]
        return [np.concatenate(frames, axis=1), np.concatenate(words, axis=1)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a new writer."""
        # This is the number of steps that unconfigured columns keep.
        writer = client.trajectory_writer(self._kept)
        for index, kept in enumerate((self._kept, 1)):
            # Sampling any step of a chunk sends and unpacks the whole chunk. Also,
            # Reverb turns two adjacent references to one chunk into a range of it.
            writer.configure((index,), num_keep_alive_refs=kept, max_chunk_length=1)
        return writer

    def write(
        self,
        writer: reverb.TrajectoryWriter,
        table: str,
        priority: float,
        item: Sequence[Any],
    ) -> None:
        """Appends an item's data, and the item that refers to it."""
        writer.create_item(table, priority, self.append(writer, item))

    def append(self, writer: reverb.TrajectoryWriter, item: Sequence[Any]) -> Any:
        """Appends frames `[G, F]` and words `[G, W]`; returns their trajectory."""
        frames, words = item
        places: dict[Frame, int] = {}
        index = [places.setdefault(each, len(places)) for each in frames.flat]
        numbers = words.shape[1]
        row = np.empty((len(words), numbers + frames.shape[1]), np.int32)
        row[:, :numbers] = words
        row[:, numbers:] = np.reshape(index, frames.shape)
        # At most len(places) steps are appended now, and as many old ones forgotten.
        oldest = max(0, self._steps + len(places) - self._kept)
        missing = [frame for frame in places if frame.step < oldest]
        for frame in missing[:-1]:
            self._append(writer, frame, None)
        self._append(writer, missing[-1] if missing else None, row)
        if self._columns is None:
            self._columns = FramedItem(*writer.history)
        steps = [frame.step for frame in places]
        return FramedItem(self._columns.frames[steps], self._columns.words[-1])

    def _list_frames(self, observations: np.ndarray) -> np.ndarray:
        """Returns the frames of observations in their order, `[count] object`."""
        *_, last = observations.shape
        *shape, channels = self._frame.shape
        stacks = observations.reshape(-1, *shape, last)
        content = split_frames(stacks, last // channels).data.cast("B")
        size = self._frame.dtype.itemsize * int(np.prod(self._frame.shape))
        recent = self._recent
        frames = np.empty(len(content) // size, object)
        for number, start in enumerate(range(0, len(content), size)):
            key = bytes(content[start : start + size])
            frame = recent.get(key)
            if frame is None:
                frame = recent[key] = Frame(key)
                if len(recent) > self._kept:
                    recent.popitem(last=False)
            else:
                recent.move_to_end(key)
            frames[number] = frame
        return frames

    def _append(
        self, writer: reverb.TrajectoryWriter, frame: Frame | None, words: Any
    ) -> None:
        """Appends a step to one of the two columns, or to both."""
        content = None
        if frame is not None:
            content = np.frombuffer(frame.content, self._frame.dtype)
            content = content.reshape(self._frame.shape)
        writer.append((content, words))
        if frame is not None:
            frame.step = self._steps
        self._steps += 1


def _pack_words(leaf: np.ndarray) -> np.ndarray:
    """Returns an array's bits as `int32`; an action mask as one number per entry."""
    if leaf.dtype.itemsize == 1:
        return leaf.astype(np.int32)
    return np.ascontiguousarray(leaf).view(np.int32)


def _check(spec: Any, leaf: Any) -> None:
    if leaf.shape[1:] != spec.shape or leaf.dtype != spec.dtype:
        raise ValueError(
            f"an item that was to be written has an array {leaf.dtype} "
            f"{list(leaf.shape[1:])} where replay holds {spec.dtype} {list(spec.shape)}"
        )
