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
import json
import os
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distrl.checkpoints.freed_memory import return_freed_memory
from distrl.checkpoints.progress import RunProgress

LAST = "last"
"""What the checkpoint that a run makes at its end is called until it is whole."""

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_CHUNK_BYTES = 1 << 16
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
    path.mkdir(parents=True)
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
    partial.mkdir(parents=True, exist_ok=True)
    _write(partial / _PROGRESS, json.dumps(progress.to_dict(), indent=2))
    files = {
        str(file.relative_to(partial)): _measure(file, flush=True)
        for file in _list_files(partial)
    }
    _write(partial / _MANIFEST, json.dumps(files, indent=1))
    for directory in [*filter(Path.is_dir, partial.rglob("*")), partial]:
        _flush_directory(directory)
    os.rename(partial, path)
    _flush_directory(path.parent)
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
    run_dir: str | Path, warn: Callable[[str], object]
) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole; None when there is none.

    Args:
      run_dir: of the run.
      warn: takes one line for each damaged one that was passed over.
    """
    while True:
        listed, faults, whole = list_checkpoints(run_dir), [], None
        for path in listed:
            fault = _find_fault(path)
            if fault is None:
                whole = path
                break
            faults.append(f"checkpoint {path.name} is damaged ({fault})")
        # A newer one may have been completed meanwhile, and an older one removed.
        if not faults or list_checkpoints(run_dir) == listed:
            break
    taken = "there is none before it" if whole is None else f"taking {whole.name}"
    for line in faults:
        warn(f"{line}: {taken}")
    if whole is None:
        return None
    data = json.loads((whole / _PROGRESS).read_text())
    return Checkpoint(whole, RunProgress.from_dict(data))


def restore_newest(
    run_dir: str | Path,
    restore: Callable[[Checkpoint | None], _Restored],
    warn: Callable[[str], object],
) -> _Restored:
    """Returns what `restore` makes of the newest whole checkpoint; of None without.

    A newer one may be completed, and the one that is being read removed. Then it
    begins again.

    Args:
      run_dir: of the run.
      restore: called with the checkpoint to go on from, or None.
      warn: takes one line for each damaged one that was passed over.
    """
    while True:
        checkpoint = find_newest_checkpoint(run_dir, warn)
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


def _find_fault(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint; None when nothing is."""
    try:
        files = json.loads((path / _MANIFEST).read_text())
        if _PROGRESS not in files:
            return f"{_MANIFEST} does not name {_PROGRESS}"
        for name, expected in files.items():
            if _measure(path / name) != expected:
                return f"{name} has changed"
        RunProgress.from_dict(json.loads((path / _PROGRESS).read_text()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return str(error)
    return None


def _list_files(directory: Path) -> Iterator[Path]:
    """Yields the files below a directory, but not the manifest itself."""
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file != directory / _MANIFEST:
            yield file


def _measure(file: Path, flush: bool = False) -> list[int]:
    """Returns size and CRC-32 of a file; flushes it to the disk if so asked."""
    size, checksum = 0, 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
        if flush:
            os.fsync(stream.fileno())
    return [size, checksum]


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
