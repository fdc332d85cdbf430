"""The metrics of one node: a CSV file, and the same numbers for TensorBoard."""

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distrl.config import Config
from distrl.telemetry.csv_log import CsvLog
from distrl.telemetry.tensorboard_log import TensorBoardLog

# So that what a run writes has a bound in practice, the distance between two rows is
# doubled after so many.
_ROWS = 10_000


class MetricsLog:
    """Writes RUN_DIR/metrics/NODE.csv and RUN_DIR/tensorboard/NODE/.

    There is a row every `launch.metrics_seconds`, or for each call where rows are few
    or must come at fixed counts. After 10,000 rows there is one in twice the time, or
    for every second call, and so on. The newest values are written at the end.
    """

    def __init__(self, config: Config, node: str, every_row: bool = False):
        """Opens the files at the first row, whose names become the columns.

        Args:
          config: the whole configuration.
          node: the node's name.
          every_row: whether each call of `write` adds a row.
        """
        assert config.run_dir is not None
        self._path = Path(config.run_dir) / "metrics" / f"{node}.csv"
        self._directory = Path(config.run_dir) / "tensorboard" / node
        self._csv: CsvLog | None = None
        self._tensorboard: TensorBoardLog | None = None
        self._place: Callable[[], float] = time.monotonic
        self._distance = config.launch.metrics_seconds
        if every_row:
            self._place, self._distance = itertools.count().__next__, 1.0
        self._rows = 0
        self._due = 0.0
        self._held: tuple[int, dict[str, Any]] | None = None

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Takes the newest values, and adds a row of them if one is due.

        Args:
          step: where TensorBoard draws the row's numbers.
          values: None is an empty cell; what is not a number is left to the CSV.
        """
        place = self._place()
        self._held = step, {"time": round(time.time(), 3), **values}
        if self._rows == 0 or place >= self._due:
            self._due = place + self._distance * 2 ** (self._rows // _ROWS)
            self._add_held()

    def close(self) -> None:
        """Adds the newest values, unless they are there, and closes the files."""
        self._add_held()
        if self._csv is not None:
            self._csv.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _add_held(self) -> None:
        if self._held is None:
            return
        (step, row), self._held = self._held, None
        self._rows += 1
        if self._csv is None or self._tensorboard is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._csv = CsvLog(self._path, list(row))
            self._tensorboard = TensorBoardLog(self._directory)
        self._csv.write(row)
        numbers = {
            name: float(value)
            for name, value in row.items()
            if isinstance(value, (int, float)) and name != "time"
        }
        self._tensorboard.write(step, numbers)
