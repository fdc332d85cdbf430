"""Logs: redirects output to them, quotes them, and bounds their size."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

_PERIOD_SECONDS = 1.0
_QUOTED_BYTES = 20_000


def redirect_output(log: str | Path) -> None:
    """Appends what this process and its forks print to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def clip(text: str) -> str:
    """Returns the end of a text, at most 20 kB of UTF-8."""
    data = text.encode(errors="backslashreplace")
    return data[-_QUOTED_BYTES:].decode(errors="ignore")


def read_last_lines(descriptor: int, count: int) -> list[str]:
    """Returns the last lines of an open file, from at most its last 20 kB."""
    start = max(0, os.fstat(descriptor).st_size - _QUOTED_BYTES)
    data = os.pread(descriptor, _QUOTED_BYTES, start)
    return data.decode(errors="replace").splitlines()[-count:]


class LogBound:
    """Keeps the logs of a run from filling the disk; reports the first cut.

    Where a log is longer than half of `mib`, its end moves to NAME.log.1. Nodes have it
    open and would keep writing to a renamed one, so it is copied and truncated: lines
    printed in between are lost, and so is the previous NAME.log.1.
    """

    def __init__(self, logs: Path, mib: int, note: Callable[[str], object]):
        """Takes the directory, `launch.log_mib`, and what shows a line to the user."""
        self._logs = logs
        self._mib = mib
        self._note = note
        self._due = 0.0
        self._has_noted = False

    def tick(self) -> None:
        """Bounds the logs if it is time; call it at least once a second."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _PERIOD_SECONDS
            self.apply()

    def apply(self) -> None:
        """Bounds the logs now."""
        most = self._mib * 2**19
        for path in self._logs.rglob("*.log"):
            try:
                if path.stat().st_size <= most:
                    continue
                _keep_end(path, most)
                os.truncate(path, 0)
            except OSError:
                continue  # It may have been removed.
            if not self._has_noted:
                self._has_noted = True
                self._note(
                    f"{path} is long: only the newest {self._mib} MiB of each log are "
                    "kept (launch.log_mib)"
                )


def _keep_end(path: Path, most: int) -> None:
    older = path.with_name(f"{path.name}.1")
    try:
        with path.open("rb") as source, older.open("wb") as target:
            source.seek(-most, os.SEEK_END)
            shutil.copyfileobj(source, target)
    except OSError:  # The disk is full already.
        older.unlink(missing_ok=True)
