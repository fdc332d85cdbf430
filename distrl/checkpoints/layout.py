"""Checkpoints as directories: begun aside, made whole by one rename.

    RUN_DIR/checkpoints/000007/progress.json   counts, and what was run
                               manifest.json   size and checksum of every file
                               learner/        Orbax
                               replay/0/       Reverb
    RUN_DIR/checkpoints/.partial-000008/       being made, or left by a crash

Its parts belong together. A directory without the leading dot is whole, unless the
disk damaged it: then its files differ from the manifest and the one before is taken.
"""

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distrl.checkpoints.progress import RunProgress

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_CHUNK_BYTES = 1 << 20


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


def complete_checkpoint(
    run_dir: str | Path, name: str, progress: RunProgress, keep: int
) -> Checkpoint:
    """Makes a checkpoint whole, and removes all but the `keep` newest.

    Args:
      run_dir: of the run.
      name: of the checkpoint whose parts were saved.
      progress: how far the run was.
      keep: how many whole ones stay.

    Raises:
      OSError: the disk is full, for example; no whole checkpoint was touched.
    """
    partial, path = _partial(run_dir, name), _folder(run_dir) / name
    partial.mkdir(parents=True, exist_ok=True)
    _write(partial / _PROGRESS, json.dumps(progress.to_dict(), indent=2))
    files = {
        str(file.relative_to(partial)): _measure(file, flush=True)
        for file in _list_files(partial)
    }
    _write(partial / _MANIFEST, json.dumps(files, indent=1))
    _flush_directory(partial)
    os.rename(partial, path)
    _flush_directory(path.parent)
    for old in list_checkpoints(run_dir)[keep:]:
        # Out of sight first: half a checkpoint must never look like a whole one.
        hidden = old.with_name(f".old-{old.name}")
        old.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    return Checkpoint(path, progress)


def discard_partials(run_dir: str | Path) -> None:
    """Removes what crashes left half made or half removed."""
    folder = _folder(run_dir)
    for path in folder.glob(".*") if folder.is_dir() else ():
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
    for path in list_checkpoints(run_dir):
        fault = _find_fault(path)
        if fault is None:
            data = json.loads((path / _PROGRESS).read_text())
            return Checkpoint(path, RunProgress.from_dict(data))
        warn(f"checkpoint {path.name} is damaged ({fault}); taking the one before it")
    return None


def _folder(run_dir: str | Path) -> Path:
    return Path(run_dir) / "checkpoints"


def _partial(run_dir: str | Path, name: str) -> Path:
    return _folder(run_dir) / f".partial-{name}"


def _find_fault(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint; None when nothing is."""
    try:
        files = json.loads((path / _MANIFEST).read_text())
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
