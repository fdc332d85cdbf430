"""Directories that are complete or absent, with checksums of every file.

A directory is prepared under a hidden name, listed in `manifest.json`, flushed to the
disk, and renamed. Best parameters and checkpoints are saved this way.
"""

import contextlib
import ctypes
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrl.errors import ConfigError
from distrl.system.output import write_json

FORMAT = 4
"""The version of what is saved; what another version saved is refused."""
MANIFEST = "manifest.json"
"""The file with the size and checksum of every other file of a directory."""
RUN_SPEC = "spec.json"
"""The file that says what a run is of, in its directory and in all that it saves."""

# Large, so that a thread that computes checksums rarely needs Python's lock.
_CHUNK_BYTES = 1 << 20


def commit_directory(
    hidden: Path, path: Path, name: str, facts: Mapping[str, Any]
) -> None:
    """Writes `facts` as JSON file `name` and the manifest; renames `hidden` to `path`.

    `path` is RUN_DIR/FOLDER/NAME; the run's spec is copied into it, so that it can be
    used on its own. An existing `path` is replaced. If it raises, for example because
    the disk is full, `path` is unchanged.
    """
    write_json(hidden / name, {"format": FORMAT, **facts})
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(path.parents[1] / RUN_SPEC, hidden)
    found = sorted(hidden.rglob("*"))
    files = {
        str(each.relative_to(hidden)): _measure(each, flush=True)
        for each in found
        if each.is_file()
    }
    write_json(hidden / MANIFEST, files)
    for directory in (*filter(Path.is_dir, found), hidden):
        _flush_directory(directory)
    replaced = path.with_name(f".old-{path.name}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(replaced)
    os.rename(hidden, path)
    _flush_directory(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)
    return_freed_memory()


def read_facts(directory: Path, name: str, verify: bool = True) -> dict[str, Any]:
    """Returns the facts in the JSON file `name` of a committed directory.

    All files must exist; with `verify`, their checksums must match, too. Raises
    ConfigError if another version of distrl wrote it; another error if it is damaged.
    """
    files = _read_json(directory / MANIFEST)
    if name not in files:
        raise ValueError(f"{MANIFEST} does not name {name}")
    for file, expected in files.items():
        # A pipe or a device would never end.
        if not (directory / file).is_file():
            raise ValueError(f"{file} is missing or not a file")
        if verify and _measure(directory / file) != expected:
            raise ValueError(f"{file} has changed")
    facts = _read_json(directory / name)
    number = facts.pop("format", None)
    if number != FORMAT:
        raise ConfigError(
            f"{directory} was saved by another version of distrl (format "
            f"{number!r:.40}; this version reads {FORMAT}). Resume the run with that "
            "version, or start another with distrl train."
        )
    return facts


def remove_directory(path: Path) -> None:
    """Removes a directory, hiding it first: a half-removed one would look damaged."""
    hidden = path.with_name(f".old-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def return_freed_memory() -> None:
    """Returns freed memory to the system, if the C library can.

    Otherwise a node stays as large as it was during its largest save.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing or not a file")
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a JSON object: {error}") from error


def _measure(file: Path, flush: bool = False) -> list[int]:
    """Returns the size and CRC-32 of a file."""
    size, checksum = 0, 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
        if flush:
            os.fsync(stream.fileno())
    return [size, checksum]
