"""The directories of checkpoints: prepared under a hidden name, completed by a rename.

    RUN_DIR/checkpoints/000007/progress.json   the counts of the run
                               manifest.json   size and checksum of every file
                               learner/        by Orbax
                               replay/0/       by Reverb
    RUN_DIR/checkpoints/.partial-000008/       in progress, or left by a crash

A directory without the leading dot is complete. If the disk damages one, its files
differ from the manifest, and the checkpoint before it is used.
"""

import dataclasses
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distrl.checkpoints.best import find_best
from distrl.checkpoints.manifest import (
    FORMAT,
    commit_directory,
    read_facts,
    remove_directory,
    return_freed_memory,
)
from distrl.checkpoints.progress import RunProgress
from distrl.errors import ConfigError

LEARNER = "learner"
"""The part that holds the learner's state, whatever the backend."""

_PROGRESS = "progress.json"
_Restored = TypeVar("_Restored")


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
        return (
            f"checkpoint {self.path.name} of learner step "
            f"{self.progress.learner_steps:,}"
        )


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
    path = find_scratch(run_dir, node)
    shutil.rmtree(path, ignore_errors=True)
    make_folder(run_dir)
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
    commit_directory(folder / f".partial-{name}", path, _PROGRESS, progress.to_dict())
    for old in list_checkpoints(run_dir)[keep:]:
        remove_directory(old)
    return Checkpoint(path, progress)


def discard_partial(run_dir: str | Path, name: str) -> None:
    """Removes the parts of a checkpoint that is given up."""
    shutil.rmtree(_folder(run_dir) / f".partial-{name}", ignore_errors=True)


def discard_partials(run_dir: str | Path, scratch: bool = True) -> None:
    """Removes what crashes left half written or half removed.

    With `scratch`, also removes the nodes' hidden directories; no node may be running.
    """
    for word in ("partial", "old", *(["scratch"] if scratch else [])):
        for path in _folder(run_dir).glob(f".{word}-*"):
            shutil.rmtree(path, ignore_errors=True)


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """Returns the directories of the checkpoints, newest first."""
    folder = _folder(run_dir)
    if not folder.is_dir():
        return []
    names = [path for path in folder.iterdir() if path.name.isdecimal()]
    return sorted(names, key=lambda path: int(path.name), reverse=True)


def next_number(run_dir: str | Path) -> int:
    """Returns the number of the next checkpoint; six digits of it make its name."""
    return 1 + max((int(path.name) for path in list_checkpoints(run_dir)), default=0)


def find_newest_checkpoint(
    run_dir: str | Path,
    warn: Callable[[str], object],
    verify: bool = True,
    parts: Collection[str] = (),
) -> Checkpoint | None:
    """Returns the newest usable checkpoint; None without one.

    Args:
      warn: called with one line for each damaged checkpoint, which is skipped.
      verify: compare all files with their checksums. The launcher does, before the
        nodes start; the nodes do not.

    Raises:
      ConfigError: another version of distrl saved it.
    """
    while True:
        listed, faults, whole = list_checkpoints(run_dir), [], None
        for path in listed:
            try:
                whole = _read(path, verify, parts)
                break
            except ConfigError:
                raise
            except (OSError, ValueError) as error:
                faults.append(f"checkpoint {path.name} is damaged ({error})")
        # A newer one may have been completed meanwhile, and an older one removed.
        if not faults or list_checkpoints(run_dir) == listed:
            break
    taken = f"using {whole.path.name}" if whole else "there is none before it"
    for line in faults:
        warn(f"{line}: {taken}")
    return whole


def restore_newest(
    run_dir: str | Path,
    restore: Callable[[Checkpoint | None], _Restored],
    warn: Callable[[str], object],
    verify: bool = False,
) -> _Restored:
    """Returns `restore(checkpoint)` for the newest checkpoint, or `restore(None)`.

    If the run removes the checkpoint while it is read, the newest is read again. The
    other arguments are those of `find_newest_checkpoint`.
    """
    while True:
        checkpoint = find_newest_checkpoint(run_dir, warn, verify)
        try:
            restored = restore(checkpoint)
        except Exception:
            if checkpoint is None or checkpoint.path.exists():
                raise
            continue
        if checkpoint is None or checkpoint.path.exists():
            return_freed_memory()
            return restored


def recall_progress(
    run_dir: str | Path, sessions: int, warn: Callable[[str], object]
) -> tuple[Checkpoint | None, RunProgress]:
    """Returns the newest checkpoint and the progress with which a session starts.

    `sessions` counts the starts of the run, including this one.
    """
    checkpoint = find_newest_checkpoint(run_dir, warn, verify=False)
    progress = RunProgress() if checkpoint is None else checkpoint.progress
    best = find_best(run_dir, warn)
    if best is not None:
        # It may be newer than the checkpoint.
        progress = progress.with_best(best.mean_return)
    return checkpoint, dataclasses.replace(progress, sessions=sessions)


def _folder(run_dir: str | Path) -> Path:
    return Path(run_dir) / "checkpoints"


def _read(path: Path, verify: bool, parts: Collection[str]) -> Checkpoint:
    facts = read_facts(path, _PROGRESS, verify)
    if facts.get("format") != FORMAT:
        raise ConfigError(
            f"{path} was saved by another version of distrl (format "
            f"{facts.get('format', 1)!r:.40}; this version reads {FORMAT}). Resume the "
            "run with that version, or start another with distrl train."
        )
    progress = RunProgress.from_dict(facts)
    for part in parts:
        if not (path / part).is_dir():
            raise ValueError(f"it has no {part}")
    return Checkpoint(path, progress)
