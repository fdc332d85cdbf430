"""bsuite's own log of the training episodes, one file per environment.

bsuite scores what its wrapper `bsuite.utils.wrappers.Logging` and the environment
count. Here that wrapper writes one row per episode, with the time at which it ended, so
that the logs of many environments can be merged.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dm_env

from distrl.telemetry.csv_log import CsvLog

ENDED = "ended"
"""The column with the time of the episode's end: the machine's monotonic clock."""


class EpisodeLog:
    """A logger for bsuite that writes each row at once."""

    def __init__(self, path: Path):
        """Creates the file with the first row; raises RuntimeError if it exists."""
        if path.exists():
            raise RuntimeError(
                f"{path} holds the episodes of an earlier actor; a log of bsuite "
                "counts from the first episode of a run, so begin another run"
            )
        self._path = path
        self._csv: CsvLog | None = None

    def write(self, data: Mapping[str, Any]) -> None:
        """Adds the row that bsuite logs after an episode."""
        row = {ENDED: time.monotonic(), **data}
        if self._csv is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._csv = CsvLog(self._path, list(row))
        self._csv.write(row)

    def close(self) -> None:
        """Closes the file."""
        if self._csv is not None:
            self._csv.close()


def log_episodes(environment: Any, path: Path) -> dm_env.Environment:
    """Returns an environment of bsuite that logs every episode to a new file."""
    from bsuite.utils import wrappers

    log = EpisodeLog(path)

    class LoggedEnvironment(wrappers.Logging):
        def close(self) -> None:
            log.close()

    return LoggedEnvironment(environment, log, log_every=True)
