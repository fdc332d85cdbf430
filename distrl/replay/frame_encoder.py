"""The writing side of `distrl.replay.frames`."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import reverb
import tree

from distrl.frames import split_frames
from distrl.items import take_apart


class FramedItem(NamedTuple):
    """An item of G transitions, or of one sequence, as it lies in Reverb.

    Attributes:
      frames: `[U, ..., C]`, its frames, each once.
      words: `[G, W + F] int32`, of each transition: the bits of all that is no
        observation, and then which of the frames its observations are made of.
    """

    frames: Any
    words: Any


class Frame:
    """What a frame holds, and the step of the writer in which it was appended."""

    __slots__ = ("content", "step")

    def __init__(self, content: bytes):
        """Takes the bytes; it was not appended yet."""
        self.content = content
        self.step = -1


class FrameEncoder:
    """Appends the frames that the server has not, and then what refers to them."""

    def __init__(self, item: Any, frame: Any, kept: int):
        """Starts with nothing written.

        Args:
          item: nest of specs, of one transition or sequence.
          frame: the spec of a frame.
          kept: the newest steps that can still be referred to; more than the frames
            of any item.
        """
        self._item = item
        self._frame = frame
        self._kept = kept
        # By content; the one that was last seen is the last.
        self._recent: collections.OrderedDict[bytes, Frame] = collections.OrderedDict()
        self._columns: FramedItem | None = None
        # Steps are counted over all servers; the one of now has those from `_first` on.
        self._steps = 0
        self._first = 0

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns what is to be written of a batch of transitions or sequences.

        Returns:
          Frames `[M, F] object`, which hold what is in them, and words `[M, W] int32`.

        Raises:
          ValueError: an array has another shape or dtype than replay holds.
        """
        tree.map_structure(_check, self._item, items)
        observations, rest = take_apart(items)
        count = len(rest[0])
        frames = [self._find_frames(each).reshape(count, -1) for each in observations]
        words = [_find_words(leaf).reshape(count, -1) for leaf in rest]
        return [np.concatenate(frames, axis=1), np.concatenate(words, axis=1)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a writer to a server that has nothing yet from this encoder."""
        self._first = self._steps
        self._columns = None
        # Every column remembers so many steps, if it is not configured.
        writer = client.trajectory_writer(self._kept)
        for index, kept in enumerate((self._kept, 1)):
            # A chunk is what a sample of any of its steps sends and unpacks whole. And
            # of two references to one chunk in a row, Reverb makes a range in it.
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
        """Appends an item's data and returns the trajectory that refers to it.

        Args:
          writer: the last one of `open`.
          item: frames `[G, F] object` and words `[G, W] int32`.
        """
        frames, words = item
        places: dict[Frame, int] = {}
        index = [places.setdefault(each, len(places)) for each in frames.flat]
        numbers = words.shape[1]
        row = np.empty((len(words), numbers + frames.shape[1]), np.int32)
        row[:, :numbers] = words
        row[:, numbers:] = np.reshape(index, frames.shape)
        # So many steps may be appended now, and as many of the oldest be forgotten.
        oldest = max(self._first, self._steps + len(places) - self._kept)
        missing = [frame for frame in places if frame.step < oldest]
        for frame in missing[:-1]:
            self._append(writer, frame, None)
        self._append(writer, missing[-1] if missing else None, row)
        if self._columns is None:
            self._columns = FramedItem(*writer.history)
        steps = [frame.step - self._first for frame in places]
        return FramedItem(self._columns.frames[steps], self._columns.words[-1])

    def _find_frames(self, observations: np.ndarray) -> np.ndarray:
        """Returns the frames `[count] object` of observations, one after the other."""
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
        """Appends a step of one of the two parts, or of both."""
        content = None
        if frame is not None:
            content = np.frombuffer(frame.content, self._frame.dtype)
            content = content.reshape(self._frame.shape)
        writer.append((content, words))
        if frame is not None:
            frame.step = self._steps
        self._steps += 1


def _find_words(leaf: np.ndarray) -> np.ndarray:
    """Returns an array as `int32`: its bits, of a mask its numbers."""
    if leaf.dtype.itemsize == 1:
        return leaf.astype(np.int32)
    return np.ascontiguousarray(leaf).view(np.int32)


def _check(spec: Any, leaf: Any) -> None:
    if leaf.shape[1:] != spec.shape or leaf.dtype != spec.dtype:
        raise ValueError(
            f"an item that was to be written has an array {leaf.dtype} "
            f"{list(leaf.shape[1:])} where replay holds {spec.dtype} {list(spec.shape)}"
        )
