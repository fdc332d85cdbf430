"""CSV files that one process appends to while others read."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distrl.node_log import say


class CsvLog:
    """Appends rows to a CSV file; each is on disk when `write` returns.

    A file that is there is continued; half a row at its end, which a killed process
    leaves, is cut off. One with another header, such as another version writes, or
    with damage there, is moved aside, and the log says so.
    """

    def __init__(self, path: str | os.PathLike[str], fields: Sequence[str]):
        """Opens the file, and writes the header when it is new.

        Args:
          path: the file; its directory must be there.
          fields: the names of the columns.
        """
        self._fields = list(fields)
        path = Path(path)
        header = _format_row(self._fields)
        if path.is_file():
            _cut_half_row(path)
            with path.open("rb") as file:
                fits = file.readline() in (b"", header.encode())
        else:
            fits = not path.exists()
        if not fits:
            say(f"{path} has other columns: moved to {move_aside(path).name}")
        self._file = path.open("a", encoding="utf-8", newline="")
        if self._file.tell() == 0:
            self._append(header)

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; None, and a column that is not named, is an empty cell.

        Raises:
          ValueError: a name that is no column, or text of more than one line.
          OSError: the disk is full, for example; it names the file.
        """
        unknown = sorted(set(row).difference(self._fields))
        if unknown:
            raise ValueError(
                f"no such columns: {', '.join(unknown)}; there are "
                f"{', '.join(self._fields)}"
            )
        cells = [row.get(field) for field in self._fields]
        for cell in cells:
            if isinstance(cell, str) and ("\n" in cell or "\r" in cell):
                raise ValueError(f"a cell must be one line, and {cell!r} is not")
        self._append(_format_row(cells))

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def _append(self, line: str) -> None:
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error


def move_aside(path: Path) -> Path:
    """Renames a file to the first of NAME.1, NAME.2, ... that is free."""
    number = 1
    while path.with_name(f"{path.name}.{number}").exists():
        number += 1
    return path.rename(path.with_name(f"{path.name}.{number}"))


def _format_row(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cut_half_row(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
