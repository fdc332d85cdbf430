"""Event files for TensorBoard, written without TensorFlow."""

import importlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path


def preload_tensorboard() -> None:
    """Imports what a log needs, for a process that forks others."""
    importlib.import_module("tensorboard.compat.proto.event_pb2")
    importlib.import_module("tensorboard.summary.writer.record_writer")


class TensorBoardLog:
    """Writes numbers to one new event file of a directory.

    The tensorboard package's own event writer would import TensorFlow for its file
    system, so the records go to an ordinary file, each flushed when it is written.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        """Makes the directory and an event file in it."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._make_event = event_pb2.Event
        self._make_summary = summary_pb2.Summary
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file = (folder / f"{stem}.{os.getpid()}").open("xb")
        self._records = RecordWriter(self._file)
        self._append(
            event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds numbers by their tags, all at one step.

        Raises:
          OSError: the disk is full, for example; it names the file.
        """
        tags = [
            self._make_summary.Value(tag=tag, simple_value=float(value))
            for tag, value in values.items()
        ]
        summary = self._make_summary(value=tags)
        self._append(
            self._make_event(wall_time=time.time(), step=int(step), summary=summary)
        )

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def _append(self, event) -> None:
        try:
            self._records.write(event.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error
