"""Checkpoints as directories: begun aside, made whole by one rename.

    RUN_DIR/checkpoints/000007/progress.json   counts, and what was run
                               manifest.json   size and checksum of every file
                               learner/        Orbax
                               replay/0/       Reverb
    RUN_DIR/checkpoints/.partial-000008/       being made, or left by a crash

Its parts belong together. A directory without the leading dot is whole, unless the
disk damaged it: then its files differ from the manifest and the one before is taken.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distrl.checkpoints.freed_memory import return_freed_memory
from distrl.checkpoints.manifest import flush_directory, read_facts, write_manifest
from distrl.checkpoints.progress import RunProgress
from distrl.whole_files import write_json

LAST = "last"
"""What the checkpoint that a run makes at its end is called until it is whole."""

_PROGRESS = "progress.json"
# What is begun, what is removed, and where Reverb writes before its part is whole.
_HIDDEN = ("partial", "old", "scratch")
_Restored = TypeVar("_Restored")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
      path: its directory.
      progress: how far the run was.
    """

    path: Path
    progress: RunProgress

    def find_part(self, name: str) -> Path | None:
        """Returns the directory of a part, for example `learner`; None without it."""
        part = self.path / name
        return part if part.is_dir() else None

    def describe(self) -> str:
        """Returns for example `checkpoint 000007 of learner step 12,800`."""
        return (
            f"checkpoint {self.path.name} of learner step "
            f"{self.progress.learner_steps:,}"
        )


def make_folder(run_dir: str | Path) -> Path:
    """Returns RUN_DIR/checkpoints, made for its owner only if it is not there.

    Raises:
      OSError: the run directory is not there, for example.
    """
    folder = _folder(run_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def begin_part(run_dir: str | Path, name: str, part: str) -> Path:
    """Returns the directory for a part of a checkpoint; it is not there yet.

    What a crash left in its place is removed, and its parent is made.

    Args:
      run_dir: of the run.
      name: of the checkpoint that is being made, for example `000008`.
      part: for example `learner` or `replay/0`.
    """
    path = _partial(run_dir, name) / part
    shutil.rmtree(path, ignore_errors=True)
    make_folder(run_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def make_scratch(run_dir: str | Path, node: str) -> Path:
    """Returns an empty hidden directory, for a node that needs one while it saves.

    Args:
      run_dir: of the run.
      node: the node's name, for example `replay/0`.
    """
    path = _folder(run_dir) / f".scratch-{node.replace('/', '-')}"
    shutil.rmtree(path, ignore_errors=True)
    make_folder(run_dir)
    path.mkdir()
    return path


def complete_checkpoint(
    run_dir: str | Path,
    name: str,
    progress: RunProgress,
    keep: int,
    parts: Collection[str] = (),
    partial_name: str | None = None,
) -> Checkpoint:
    """Makes a checkpoint whole, and removes all but the `keep` newest.

    Args:
      run_dir: of the run.
      name: of the new checkpoint, for example `000008`.
      progress: how far the run was.
      keep: how many whole ones stay.
      parts: what it must hold, for example `learner`.
      partial_name: the name under which its parts were saved; None for `name`.

    Raises:
      OSError: a part is missing or the disk is full, for example; no whole
        checkpoint was touched.
    """
    partial, path = _partial(run_dir, partial_name or name), _folder(run_dir) / name
    for part in parts:
        if not (partial / part).is_dir():
            raise FileNotFoundError(f"the part {part} of checkpoint {name} is missing")
    make_folder(run_dir)
    partial.mkdir(exist_ok=True)
    write_json(partial / _PROGRESS, progress.to_dict())
    write_manifest(partial)
    os.rename(partial, path)
    flush_directory(path.parent)
    return_freed_memory()
    for old in list_checkpoints(run_dir)[keep:]:
        # Out of sight first: half a checkpoint must never look like a whole one.
        hidden = old.with_name(f".old-{old.name}")
        with contextlib.suppress(OSError):
            old.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    return Checkpoint(path, progress)


def discard_partial(run_dir: str | Path, name: str) -> None:
    """Removes the parts of a checkpoint that is given up."""
    shutil.rmtree(_partial(run_dir, name), ignore_errors=True)


def discard_partials(run_dir: str | Path, keep: Collection[str] = ()) -> None:
    """Removes what crashes left half made or half removed.

    Args:
      run_dir: of the run.
      keep: the checkpoints that nodes may be writing at this moment; what they write on
        the way there is kept, too.
    """
    kept = {_partial(run_dir, name) for name in keep}
    for word in _HIDDEN:
        for path in _folder(run_dir).glob(f".{word}-*"):
            if path not in kept and not (kept and word == "scratch"):
                shutil.rmtree(path, ignore_errors=True)


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """Returns the directories of the checkpoints, the newest first."""
    folder = _folder(run_dir)
    if not folder.is_dir():
        return []
    names = [path for path in folder.iterdir() if path.name.isdecimal()]
    return sorted(names, key=lambda path: int(path.name), reverse=True)


def next_number(run_dir: str | Path) -> str:
    """Returns the name of the checkpoint that comes next."""
    newest = [int(path.name) for path in list_checkpoints(run_dir)[:1]]
    return f"{1 + sum(newest):06d}"


def find_newest_checkpoint(
    run_dir: str | Path,
    warn: Callable[[str], object],
    verified: bool = False,
    parts: Collection[str] = (),
) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole; None when there is none.

    Args:
      run_dir: of the run.
      warn: takes one line for each damaged one that was passed over.
      verified: the newest was compared with its checksums just now, by the launcher.
      parts: what it must hold.
    """
    while True:
        listed, faults, whole = list_checkpoints(run_dir), [], None
        for path in listed:
            try:
                whole = _read(path, verified, parts)
                break
            except (OSError, ValueError) as error:
                faults.append(f"checkpoint {path.name} is damaged ({error})")
        # A newer one may have been completed meanwhile, and an older one removed.
        if not faults or list_checkpoints(run_dir) == listed:
            break
    taken = f"taking {whole.path.name}" if whole else "there is none before it"
    for line in faults:
        warn(f"{line}: {taken}")
    return whole


def restore_newest(
    run_dir: str | Path,
    restore: Callable[[Checkpoint | None], _Restored],
    warn: Callable[[str], object],
    verified: bool = False,
) -> _Restored:
    """Returns what `restore` makes of the newest whole checkpoint; of None without.

    A newer one may be completed, and the one that is being read removed. Then it
    begins again.

    Args:
      run_dir: of the run.
      restore: called with the checkpoint to go on from, or None.
      warn: takes one line for each damaged one that was passed over.
      verified: as of `find_newest_checkpoint`.
    """
    while True:
        checkpoint = find_newest_checkpoint(run_dir, warn, verified)
        try:
            restored = restore(checkpoint)
        except Exception:
            if checkpoint is None or checkpoint.path.exists():
                raise
            continue
        if checkpoint is None or checkpoint.path.exists():
            return_freed_memory()
            return restored


def _folder(run_dir: str | Path) -> Path:
    return Path(run_dir) / "checkpoints"


def _partial(run_dir: str | Path, name: str) -> Path:
    return _folder(run_dir) / f".partial-{name}"


def _read(path: Path, verified: bool, parts: Collection[str]) -> Checkpoint:
    """Reads a checkpoint's progress, once its files are checked.

    Raises:
      ValueError, OSError: it is damaged.
    """
    progress = RunProgress.from_dict(read_facts(path, _PROGRESS, verified))
    for part in parts:
        if not (path / part).is_dir():
            raise ValueError(f"it has no {part}")
    return Checkpoint(path, progress)
