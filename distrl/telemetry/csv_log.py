"""CSV files that one process appends to while others read."""

import contextlib
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
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
        if path.exists():
            content = path.read_bytes()
            size = content.rfind(b"\n") + 1
            os.truncate(path, size)
            if size and not content.startswith(f"{','.join(fields)}\n".encode()):
                say(f"{path} has other columns: moved to {_move_aside(path).name}")
        self._file = path.open("a", encoding="utf-8", newline="")
        self._rows = csv.DictWriter(self._file, fields, lineterminator="\n")
        if self._file.tell() == 0:
            self.write(dict(zip(fields, fields, strict=True)))

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row; None and missing columns become empty cells."""
        with name_file(self._file.name):
            self._rows.writerow(row)
            self._file.flush()

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()


@contextlib.contextmanager
def name_file(name: str) -> Iterator[None]:
    """Adds the name of the file to an OSError, for example of a full disk."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def _move_aside(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}.{number}").exists():
        number += 1
    return path.rename(path.with_name(f"{path.name}.{number}"))
