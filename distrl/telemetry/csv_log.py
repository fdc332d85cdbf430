"""CSV files that one process appends to while others read."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distrl.system.output import say


class CsvLog:
    """Appends rows to a CSV file; each is on disk when `write` returns.

    Continues an existing file, without the half row that a killed process may leave. A
    file with other columns, as of another version, is renamed to NAME.1, NAME.2, ...
    """

    def __init__(self, path: str | os.PathLike[str], fields: Sequence[str]):
        """Opens the file in an existing directory; writes the header if it is new."""
        path = Path(path)
        if path.is_file():
            _cut_half_row(path)
        if path.exists() and not _has_header(path, fields):
            say(f"{path} has other columns: moved to {_move_aside(path).name}")
        self._file = path.open("a", encoding="utf-8", newline="")
        self._rows = csv.DictWriter(self._file, fields, lineterminator="\n")
        if self._file.tell() == 0:
            self.write(dict(zip(fields, fields, strict=True)))

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; None and missing columns become empty cells."""
        try:
            self._rows.writerow(row)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()


def _cut_half_row(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _has_header(path: Path, fields: Sequence[str]) -> bool:
    if not path.is_file():
        return False
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(fields)
    with path.open("rb") as file:
        return file.readline() in (b"", header.getvalue().encode())


def _move_aside(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}.{number}").exists():
        number += 1
    return path.rename(path.with_name(f"{path.name}.{number}"))
