"""Keeps logs from filling the disk, whatever nodes print."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

_PERIOD_SECONDS = 1.0


class LogBound:
    """Bounds the logs of a run, and says so the first time that it has to."""

    def __init__(self, logs: Path, mib: int, note: Callable[[str], object]):
        """Takes the directory, `launch.log_mib`, and what shows a line."""
        self._logs = logs
        self._mib = mib
        self._note = note
        self._due = 0.0
        self._said = False

    def tick(self) -> None:
        """Bounds the logs once a second; call it at least as often."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _PERIOD_SECONDS
            self.apply()

    def apply(self) -> None:
        """Bounds the logs now."""
        moved = bound_logs(self._logs, self._mib)
        if moved and not self._said:
            self._said = True
            self._note(
                f"{moved[0]} is long: of each log the newest {self._mib} MiB at most "
                "are kept (launch.log_mib)"
            )


def bound_logs(logs: Path, mib: int) -> list[Path]:
    """Moves the end of each log that is longer than half of the bound to NAME.log.1.

    Nodes and what they start have the file open, so it is copied and then emptied:
    after a rename they would go on in the renamed one. What they print in between is
    lost, and so is what NAME.log.1 held.

    Args:
      logs: the directory, with those below it.
      mib: the bound for a log, NAME.log.1 included.

    Returns:
      The logs that were too long.
    """
    moved = []
    most = mib * 2**19
    for path in logs.rglob("*.log"):
        try:
            if path.is_symlink() or path.stat().st_size <= most:
                continue
            _keep_end(path, most)
            os.truncate(path, 0)
        except OSError:
            continue  # It may have been removed.
        moved.append(path)
    return moved


def _keep_end(path: Path, most: int) -> None:
    """Copies the last bytes of a log, as many as `most`, to NAME.log.1."""
    older = path.with_name(f"{path.name}.1")
    try:
        with path.open("rb") as source, older.open("wb") as target:
            source.seek(-most, os.SEEK_END)
            shutil.copyfileobj(source, target)
    except OSError:  # The disk is full already.
        older.unlink(missing_ok=True)
