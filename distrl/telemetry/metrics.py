"""The metrics of one node, as a CSV file and for TensorBoard."""

import importlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distrl.config import Config
from distrl.telemetry.csv_log import CsvLog, name_file

# The interval between rows doubles each time this many are written, which bounds the
# size of the files.
_ROWS = 10_000


class MetricsLog:
    """Writes RUN_DIR/metrics/NODE.csv and RUN_DIR/tensorboard/NODE/.

    Adds a row every `launch.metrics_seconds`, or at every call with `every_row`, which
    is for nodes that write rarely. The interval doubles after each 10,000 rows.
    """

    def __init__(self, config: Config, node: str, every_row: bool = False):
        """Opens the files at the first `write`, whose keys become the columns."""
        assert config.run_dir is not None
        self._path = Path(config.run_dir) / "metrics" / f"{node}.csv"
        self._directory = Path(config.run_dir) / "tensorboard" / node
        self._files: tuple[CsvLog, _EventFile] | None = None
        self._place: Callable[[], float] = time.monotonic
        self._distance = config.launch.metrics_seconds
        if every_row:
            self._place, self._distance = itertools.count().__next__, 1.0
        self._rows = 0
        self._due = 0.0
        self._unwritten: tuple[int, dict[str, Any]] | None = None

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Takes the newest values, None for an empty cell; adds a row if one is due."""
        place = self._place()
        self._unwritten = step, {"time": round(time.time(), 3), **values}
        if self._rows == 0 or place >= self._due:
            self._due = place + self._distance * 2 ** (self._rows // _ROWS)
            self._add_row()

    def close(self) -> None:
        """Writes the last values, unless that is done, and closes the files."""
        self._add_row()
        if self._files is not None:
            rows, events = self._files
            rows.close()
            events.close()

    def _add_row(self) -> None:
        if self._unwritten is None:
            return
        (step, row), self._unwritten = self._unwritten, None
        self._rows += 1
        if self._files is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._files = CsvLog(self._path, list(row)), _EventFile(self._directory)
        rows, events = self._files
        rows.write(row)
        events.write(step, row)


def preload_tensorboard() -> None:
    """Imports the TensorBoard modules, for a process that forks others."""
    importlib.import_module("tensorboard.compat.proto.event_pb2")
    importlib.import_module("tensorboard.summary.writer.record_writer")


class _EventFile:
    """A TensorBoard event file; each record is on disk when `write` returns.

    TensorBoard's own writer would import TensorFlow for its file system.
    """

    def __init__(self, directory: Path):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = event_pb2.Event
        self._summary = summary_pb2.Summary
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file = (directory / f"{stem}.{os.getpid()}").open("xb")
        self._records = RecordWriter(self._file)
        self._append(file_version="brain.Event:2")

    def write(self, step: int, row: Mapping[str, Any]) -> None:
        tags = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in row.items()
            if isinstance(value, (int, float)) and name != "time"
        ]
        self._append(step=step, summary=self._summary(value=tags))

    def close(self) -> None:
        self._file.close()

    def _append(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        with name_file(self._file.name):
            self._records.write(event.SerializeToString())
            self._file.flush()
