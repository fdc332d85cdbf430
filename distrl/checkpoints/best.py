"""The parameters of the best evaluation of a run, in a directory of their own.

RUN_DIR/best/12800/best.json     learner_steps, mean_return, episodes
                   manifest.json size and checksum of every file
                   variables/    the network's parameters and state, by Orbax
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints.manifest import read_facts, write_manifest
from distrl.checkpoints.progress import read_fields
from distrl.checkpoints.trees import save_tree
from distrl.node_log import say
from distrl.whole_files import write_json

_FACTS = "best.json"
_VARIABLES = "variables"
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Best:
    """The best evaluation of a run.

    Attributes:
      path: its directory.
      learner_steps: of the parameters that were evaluated.
      mean_return: over the episodes.
      episodes: how many there were.
    """

    path: Path
    learner_steps: int
    mean_return: float
    episodes: int

    @property
    def variables(self) -> Path:
        """What `restore_tree` reads `(params, network_state)` from."""
        return self.path / _VARIABLES


def save_best(
    run_dir: str | Path,
    variables: Any,
    learner_steps: int,
    mean_return: float,
    episodes: int,
) -> Best:
    """Saves the best parameters so far, then removes those before them.

    Args:
      run_dir: of the run.
      variables: `(params, network_state)`, nests of arrays.
      learner_steps: of these parameters.
      mean_return: of their evaluation.
      episodes: of their evaluation.

    Raises:
      OSError, ValueError: the disk is full, for example; those before them stay.
    """
    folder = Path(run_dir) / "best"
    path, partial = folder / str(learner_steps), folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    partial.mkdir()
    best = Best(path, learner_steps, mean_return, episodes)
    save_tree(partial / _VARIABLES, variables)
    facts = dataclasses.asdict(best)
    del facts["path"]
    write_json(partial / _FACTS, facts)
    write_manifest(partial)
    # A run that went back to a checkpoint may evaluate a step a second time.
    _remove(path)
    os.rename(partial, path)
    for old in folder.iterdir():
        if old != path:
            _remove(old)
    return best


def find_best(run_dir: str | Path, warn: Callable[[str], object] = say) -> Best | None:
    """Returns the best evaluation that was saved whole; None without one.

    All its files are compared with their checksums.

    Args:
      run_dir: of the run.
      warn: takes one line for each damaged one that was passed over.
    """
    folder = Path(run_dir) / "best"
    while True:
        listed = _list(folder)
        found: list[Best] = []
        faults: list[str] = []
        for path in listed:
            try:
                facts = read_fields(Best, read_facts(path, _FACTS))
                found.append(Best(**{**facts, "path": path}))
            except (OSError, ValueError, TypeError) as error:
                faults.append(f"best/{path.name} is damaged ({error}): passed over")
        # A better one may have taken the place of one that was read.
        if not faults or _list(folder) == listed:
            break
    for line in faults:
        warn(line)
    return max(found, key=lambda best: best.mean_return) if found else None


def _list(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*"))


def _remove(path: Path) -> None:
    """Removes a directory, out of sight first: half of one looks like a damaged one."""
    hidden = path.with_name(f".old-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
