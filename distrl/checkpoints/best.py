"""The parameters of a run's best evaluation, in a directory of their own.

RUN_DIR/best/12800/best.json     learner_steps, mean_return, episodes
                   manifest.json size and checksum of every file
                   spec.json     what they are of
                   policy.npz    params and network state, by NumPy
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints.manifest import commit_directory, read_facts, remove_directory
from distrl.system.output import say

BEST = "best.json"
"""The file by which such a directory is recognized."""


@dataclass(frozen=True)
class Best:
    """The best evaluation of a run, saved in the directory `path`."""

    path: Path
    learner_steps: int
    mean_return: float
    episodes: int


class BestKeeper:
    """Saves the parameters of the best evaluation so far, across restarts."""

    def __init__(self, run_dir: str | Path, episodes: int):
        """Reads the best evaluation of earlier incarnations, each of `episodes`."""
        self._folder, self._episodes = Path(run_dir) / "best", episodes
        best = find_best(run_dir)
        self._best_return = -math.inf if best is None else best.mean_return

    def offer(self, variables: Any, learner_steps: int, mean_return: float) -> None:
        """Saves `(params, network_state)` if their return is the best so far.

        After a failure, which is logged, the previous best stays, and the next better
        evaluation tries again.
        """
        # Not `<=`, so that NaN is never the best.
        if not mean_return > self._best_return:
            return
        path = self._folder / str(learner_steps)
        best = Best(path, learner_steps, mean_return, self._episodes)
        try:
            self._save(variables, best)
            self._best_return = mean_return
        except Exception as error:
            say(f"the best parameters were not saved: {error}")

    def _save(self, variables: Any, best: Best) -> None:
        # Not when the module is loaded: it imports JAX.
        from distrl.checkpoints.arrays import POLICY, save_arrays

        partial = self._folder / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_arrays(partial / POLICY, variables)
        facts = {name: value for name, value in vars(best).items() if name != "path"}
        # After a restart from a checkpoint the same step may be evaluated again.
        commit_directory(partial, best.path, BEST, facts)
        for old in self._folder.iterdir():
            if old != best.path:
                remove_directory(old)


def find_best(run_dir: str | Path, warn: Callable[[str], object] = say) -> Best | None:
    """Returns the best saved evaluation after verifying its files; None without one.

    Calls `warn` with one line for each damaged directory and skips it.
    """
    found = []
    for path in sorted((Path(run_dir) / "best").glob("[0-9]*")):
        try:
            found.append(read_best(path))
        except Exception as error:
            if not path.exists():  # A better one has replaced it meanwhile.
                return find_best(run_dir, warn)
            warn(f"best/{path.name} is damaged ({error}): skipped")
    return max(found, key=lambda best: best.mean_return) if found else None


def read_best(path: Path) -> Best:
    """Returns the best evaluation in a directory after verifying its files."""
    return Best(path, **read_facts(path, BEST))
