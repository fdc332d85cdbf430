"""The record of a benchmark: its tables, with machine, command and commit."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the option that all benchmarks share, `--json`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to this file"
    )
    return parser


class Record:
    """Prints a benchmark's tables, and writes their rows to a JSON file as a list.

    Each row there also has the machine, the command and the commit.
    """

    def __init__(self, path: Path | None):
        """Prints the machine, the command and the commit.

        Raises:
          SystemExit: the file cannot be written.
        """
        self._path = path
        self._content = {
            "machine": f"{_read_processor()}, {os.cpu_count()} cores",
            "system": platform.system(),
            "command": f"python -m {_name_command()}",
            "commit": _read_commit(),
            "load before": os.getloadavg()[0],
        }
        for name, value in self._content.items():
            print(f"{name + ':':<13}{_format(value)}")
        self._tables: list[Sequence[Mapping[str, object]]] = []
        try:
            self._write()
        except OSError as error:
            raise SystemExit(f"--json: {error}") from None

    def add_table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows that have the same columns."""
        names = list(rows[0])
        cells = [[_format(row[name]) for name in names] for row in rows]
        columns = zip(names, *cells, strict=True)
        widths = [max(map(len, column)) for column in columns]
        print()
        for line in [names, *cells]:
            print("  ".join(map(str.ljust, line, widths)))
        sys.stdout.flush()
        self._tables.append(rows)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            rows = [{**self._content, **row} for rows in self._tables for row in rows]
            self._path.write_text(json.dumps(rows, indent=1) + "\n")


def median(values: Sequence[float]) -> float:
    """Returns the median, which one disturbed repetition does not change."""
    return statistics.median(values)


def _format(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _name_command() -> str:
    return " ".join([f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])


def _read_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _read_commit() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return answer.stdout.strip() or "unknown"
