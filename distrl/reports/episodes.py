"""bsuite's results from the logs of all actors, as if one environment had run.

Episodes of all environments count in the order in which they ended, up to the number
that bsuite scores.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from distrl.environments import BSUITE_LOGS
from distrl.environments.bsuite_suite import ENDED

Row = Mapping[str, float]

# Columns about the latest episode; the others are totals.
_OF_THE_EPISODE = {"episode_len", "episode_return"}


def name_result(results: Path, bsuite_id: str) -> Path:
    """Returns the file of an id, for example `catch/0`, in the folder of results."""
    return results / f"bsuite_id_-_{bsuite_id.replace('/', '-')}.csv"


def write_results(
    run_dir: Path, bsuite_id: str, episodes: int, results_dir: Path
) -> None:
    """Writes what bsuite's own logger would have written: the whole file, or none.

    `run_dir` is of a run with `actor.bsuite_log`; raises ValueError if it has fewer
    episodes. `bsuite.logging.csv_load` reads `results_dir`, an existing folder.
    """
    from bsuite.utils import wrappers

    paths = sorted((run_dir / BSUITE_LOGS).glob("*.csv"))
    logs = [_read_log(path) for path in paths]
    rows = list(pool_episodes(logs, episodes))
    if len(rows) < episodes:
        raise ValueError(
            f"{run_dir} has {len(rows):,} episodes, and {episodes:,} are needed"
        )
    path = name_result(results_dir, bsuite_id)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            row for row in rows if wrappers._logarithmic_logging(row["episode"])
        )
    partial.replace(path)


def _read_log(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            {name: int(x) if x.isdecimal() else float(x) for name, x in row.items()}
            for row in csv.DictReader(file)
        ]


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
        pooled = {name: value for name, value in row.items() if name != ENDED}
        for name in pooled.keys() - _OF_THE_EPISODE:
            values = [each[name] for each in newest.values()]
            pooled[name] = max(values) if name == "best_episode" else sum(values)
        yield pooled
