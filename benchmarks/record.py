"""What every benchmark prints beside its figures: machine, command, commit."""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def print_record() -> None:
    """Prints where, by which command and of which commit the figures are."""
    print(f"machine: {_read_processor()}, {os.cpu_count()} cores, {platform.system()}")
    module = f"benchmarks.{Path(sys.argv[0]).stem}"
    print(f"command: python -m {' '.join([module, *sys.argv[1:]])}")
    print(f"commit:  {_read_commit()}")
    print(f"load:    {os.getloadavg()[0]:.2f} before the run", flush=True)


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Prints rows of the same columns."""
    names = list(rows[0])
    cells = [[_format(row[name]) for name in names] for row in rows]
    widths = [
        max(len(name), *(len(line[i]) for line in cells))
        for i, name in enumerate(names)
    ]
    for line in [names, *cells]:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)))
    sys.stdout.flush()


def median(values: Sequence[float]) -> float:
    """Returns the median, which one disturbed repetition does not move."""
    return statistics.median(values)


def _format(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


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
