"""bsuite's results from the logs of all actors, as if one environment had run.

Episodes of all environments count in the order in which they ended, up to the number
that bsuite scores.
"""

import csv
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from distrl.environments import BSUITE_LOGS
from distrl.environments.bsuite_suite import ENDED

Row = Mapping[str, float]

# Columns about the latest episode; the others are totals.
_OF_THE_EPISODE = ("episode_len", "episode_return")
# The only total in bsuite that is a maximum, not a sum.
_LARGEST = ("best_episode",)


def write_results(
    run_dir: Path, bsuite_id: str, episodes: int, results_dir: Path
) -> None:
    """Writes what bsuite's own logger would have written: the whole file, or none.

    Args:
      run_dir: the directory of a run with `actor.bsuite_log`.
      bsuite_id: for example `catch/0`.
      episodes: the number of episodes that count; ValueError if the run has fewer.
      results_dir: the folder for the file, which `bsuite.logging.csv_load` reads.
    """
    from bsuite.logging import csv_logging
    from bsuite.utils import wrappers

    rows = list(pool_episodes(_read_logs(run_dir), episodes))
    if len(rows) < episodes:
        raise ValueError(
            f"{run_dir} has {len(rows):,} episodes, and {episodes:,} are needed"
        )
    safe_id = bsuite_id.replace("/", csv_logging.SAFE_SEPARATOR)
    path = results_dir / f"{csv_logging.BSUITE_PREFIX}{safe_id}.csv"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    results_dir.mkdir(parents=True, exist_ok=True)
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            row for row in rows if wrappers._logarithmic_logging(row["episode"])
        )
    partial.replace(path)


def pool_episodes(logs: Sequence[Sequence[Row]], episodes: int) -> Iterator[Row]:
    """Yields a row of bsuite's for each episode, in the order in which they ended.

    Totals are summed over the environments, `best_episode` is the maximum, and `steps`
    counts whole episodes. The log of a single environment is unchanged.

    Args:
      logs: for each environment its rows: `ended`, and bsuite's columns.
    """
    numbered = [(row[ENDED], i, row) for i, log in enumerate(logs) for row in log]
    numbered.sort(key=lambda each: each[:2])
    newest: dict[int, Row] = {}
    for _, index, row in numbered[:episodes]:
        newest[index] = row
        yield {
            name: _combine(name, row, newest.values()) for name in row if name != ENDED
        }


def _combine(name: str, row: Row, newest: Collection[Row]) -> float:
    """Returns a column of the pooled row from the newest row of each environment."""
    if name in _OF_THE_EPISODE:
        return row[name]
    values = [each[name] for each in newest]
    return max(values) if name in _LARGEST else sum(values)


def _read_logs(run_dir: Path) -> list[list[Row]]:
    logs: list[list[Row]] = []
    for path in sorted((run_dir / BSUITE_LOGS).glob("*.csv")):
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            logs.append([{k: _read_number(v) for k, v in row.items()} for row in rows])
    return logs


def _read_number(cell: str) -> float:
    """Returns an int where bsuite counts in integers, as its own logger does."""
    try:
        return int(cell)
    except ValueError:
        return float(cell)
