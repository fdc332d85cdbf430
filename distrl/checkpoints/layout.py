"""The directories of checkpoints: prepared under a hidden name, completed by a rename.

    RUN_DIR/checkpoints/000007/progress.json   the counts of the run
                               manifest.json   size and checksum of every file
                               spec.json       what the checkpoint is of
                               policy.npz      params and network state, by NumPy
                               learner/        all of the learner's state, by Orbax
                               replay/0/       by Reverb
    RUN_DIR/checkpoints/.partial-000008/       in progress, or left by a crash

A directory without the leading dot is complete. If the disk damages one, its files
differ from the manifest, and the checkpoint before it is used.
"""

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distrl.checkpoints.best import BEST, Best, find_best, read_best
from distrl.checkpoints.manifest import (
    commit_directory,
    read_facts,
    remove_directory,
    return_freed_memory,
)
from distrl.errors import ConfigError

LEARNER = "learner"
"""The part that holds the learner's state, whatever the backend."""

_PROGRESS = "progress.json"
_Saved = TypeVar("_Saved", bound="Checkpoint | Best")
_Restored = TypeVar("_Restored")


@dataclass(frozen=True)
class RunProgress:
    """The counts and evaluations of a run at one moment."""

    seconds: float = 0.0
    """The duration of the run, all its sessions together."""
    env_steps: int = 0
    """Calls of environment.step by all actors."""
    learner_steps: int = 0
    """SGD steps."""
    episodes: int = 0
    """Episodes that the actors ended."""
    evaluation_return: float | None = None
    """The mean return of the latest evaluation; None before the first."""
    evaluation_step: int | None = None
    """The learner step of the parameters of the latest evaluation."""
    evaluation_truncated: int | None = None
    """The episodes of the latest evaluation that evaluation.max_episode_steps cut."""
    best_return: float | None = None
    """The best mean return of an evaluation."""
    sessions: int = 1
    """How often the run was started: 1, plus one for each resume."""

    def with_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> "RunProgress":
        """Returns the progress with a new evaluation; `truncated` counts episodes."""
        best = mean_return if self.best_return is None else self.best_return
        return dataclasses.replace(
            self,
            evaluation_return=mean_return,
            evaluation_step=learner_steps,
            evaluation_truncated=truncated,
            best_return=max(best, mean_return),
        )


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint in the directory `path`."""

    path: Path
    progress: RunProgress

    def find_part(self, name: str) -> Path | None:
        """Returns the path of a part, for example `learner`; None if it is missing."""
        part = self.path / name
        return part if part.exists() else None

    def describe(self) -> str:
        """Returns for example `checkpoint 000007 of learner step 12,800`."""
        steps = self.progress.learner_steps
        return f"checkpoint {self.path.name} of learner step {steps:,}"


def make_folder(run_dir: str | Path) -> Path:
    """Returns RUN_DIR/checkpoints; creates it with access for its owner only."""
    folder = _folder(run_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def begin_part(run_dir: str | Path, name: str, part: str) -> Path:
    """Returns the path for a part, for example `replay/0`; only its parent exists."""
    path = make_folder(run_dir) / f".partial-{name}" / part
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def find_scratch(run_dir: str | Path, node: str) -> Path:
    """Returns the path of the hidden directory of a node, for example of `replay/0`."""
    return _folder(run_dir) / f".scratch-{node.replace('/', '-')}"


def make_scratch(run_dir: str | Path, node: str) -> Path:
    """Returns a node's hidden directory, created or emptied."""
    make_folder(run_dir)
    path = find_scratch(run_dir, node)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def complete_checkpoint(
    run_dir: str | Path, name: str, progress: RunProgress, keep: int
) -> Checkpoint:
    """Completes a checkpoint whose parts are written; keeps only the `keep` newest.

    If it raises, for example because the disk is full, the others are unchanged.
    """
    folder = _folder(run_dir)
    path = folder / name
    commit_directory(folder / f".partial-{name}", path, _PROGRESS, vars(progress))
    for old in list_checkpoints(run_dir)[keep:]:
        remove_directory(old)
    return Checkpoint(path, progress)


def discard_partial(run_dir: str | Path, name: str) -> None:
    """Removes the parts of a checkpoint that is given up."""
    shutil.rmtree(_folder(run_dir) / f".partial-{name}", ignore_errors=True)


def discard_partials(run_dir: str | Path) -> None:
    """Removes what crashes left half written or removed; no node may be running."""
    for path in _folder(run_dir).glob(".*"):
        shutil.rmtree(path, ignore_errors=True)


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """Returns the directories of the checkpoints, newest first."""
    paths = [path for path in _folder(run_dir).glob("*") if path.name.isdecimal()]
    return sorted(paths, key=lambda path: int(path.name), reverse=True)


def next_number(run_dir: str | Path) -> int:
    """Returns the number of the next checkpoint; six digits of it make its name."""
    return max((int(path.name) for path in list_checkpoints(run_dir)), default=0) + 1


def find_newest_checkpoint(
    run_dir: str | Path, warn: Callable[[str], object], verify: bool = False
) -> Checkpoint | None:
    """Returns the newest undamaged checkpoint; None without one.

    Calls `warn` with a line for each damaged one. With `verify`, which takes a while,
    compares all files with their checksums. Raises ConfigError if another version of
    distrl saved it.
    """
    for path in list_checkpoints(run_dir):
        try:
            return _read_checkpoint(path, verify)
        except ConfigError:
            raise
        except Exception as error:
            if not path.exists():  # Newer ones have replaced it meanwhile.
                return find_newest_checkpoint(run_dir, warn, verify)
            warn(f"checkpoint {path.name} is damaged ({error}): skipped")
    return None


def read_saved(path: Path) -> Best | Checkpoint:
    """Returns what is saved in a directory, a checkpoint or the best parameters.

    Raises an error unless its files are those that were saved.
    """
    is_best = (path / BEST).exists()
    return read_best(path) if is_best else _read_checkpoint(path, verify=True)


def restore_saved(
    find: Callable[[], _Saved | None], restore: Callable[[_Saved | None], _Restored]
) -> _Restored:
    """Returns `restore(find())`; again if the run removes the directory meanwhile."""
    while True:
        saved = find()
        try:
            restored = restore(saved)
        except Exception:
            if saved is None or saved.path.exists():
                raise
            continue
        if saved is None or saved.path.exists():
            return_freed_memory()
            return restored


def recall_progress(
    run_dir: str | Path, sessions: int, warn: Callable[[str], object]
) -> RunProgress:
    """Returns the progress with which a session starts: the newest checkpoint's.

    `sessions` counts the starts of the run, including this one.
    """
    checkpoint = find_newest_checkpoint(run_dir, warn)
    progress = RunProgress() if checkpoint is None else checkpoint.progress
    # The best may be newer than the checkpoint.
    best = find_best(run_dir, warn)
    returns = (progress.best_return, None if best is None else best.mean_return)
    best_return = max((x for x in returns if x is not None), default=None)
    return dataclasses.replace(progress, sessions=sessions, best_return=best_return)


def _read_checkpoint(path: Path, verify: bool) -> Checkpoint:
    return Checkpoint(path, RunProgress(**read_facts(path, _PROGRESS, verify)))


def _folder(run_dir: str | Path) -> Path:
    return Path(run_dir) / "checkpoints"
