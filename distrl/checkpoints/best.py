"""The parameters of the best evaluation of a run, in a directory of their own.

RUN_DIR/best/12800/best.json     learner_steps, mean_return, episodes
                   variables/    the network's parameters and state, by Orbax
"""

import dataclasses
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints.trees import save_tree

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
    partial.mkdir(parents=True)
    best = Best(path, learner_steps, mean_return, episodes)
    save_tree(partial / _VARIABLES, variables)
    facts = dataclasses.asdict(best)
    del facts["path"]
    with (partial / _FACTS).open("w") as file:
        file.write(json.dumps(facts, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    # A run that went back to a checkpoint may evaluate a step a second time.
    shutil.rmtree(path, ignore_errors=True)
    os.rename(partial, path)
    for old in folder.iterdir():
        if old != path:
            shutil.rmtree(old, ignore_errors=True)
    return best


def find_best(run_dir: str | Path) -> Best | None:
    """Returns the best evaluation that was saved; None without one."""
    found: list[Best] = []
    folder = Path(run_dir) / "best"
    for path in folder.glob(f"[0-9]*/{_FACTS}"):
        try:
            found.append(Best(path.parent, **json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            # A disk that was full or a machine that lost power leaves such.
            continue
    return max(found, key=lambda best: best.mean_return) if found else None
