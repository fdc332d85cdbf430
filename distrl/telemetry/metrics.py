"""The metrics of one node: a CSV file, and the same numbers for TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrl.config import Config
from distrl.telemetry.csv_log import CsvLog
from distrl.telemetry.tensorboard_log import TensorBoardLog


class MetricsLog:
    """Writes RUN_DIR/metrics/NODE.csv and RUN_DIR/tensorboard/NODE/."""

    def __init__(self, config: Config, node: str):
        """Opens the files at the first row, whose names become the columns."""
        assert config.run_dir is not None
        self._path = Path(config.run_dir) / "metrics" / f"{node}.csv"
        self._directory = Path(config.run_dir) / "tensorboard" / node
        self._csv: CsvLog | None = None
        self._tensorboard: TensorBoardLog | None = None

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a row.

        Args:
          step: where TensorBoard draws the row's numbers.
          values: None is an empty cell; what is not a number is left to the CSV.
        """
        row = {"time": round(time.time(), 3), **values}
        if self._csv is None or self._tensorboard is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._csv = CsvLog(self._path, list(row))
            self._tensorboard = TensorBoardLog(self._directory)
        self._csv.write(row)
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, (int, float))
        }
        self._tensorboard.write(step, numbers)

    def close(self) -> None:
        """Closes the files."""
        if self._csv is not None:
            self._csv.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
