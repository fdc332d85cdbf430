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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distrl.system.whole_files import write_json

FORMAT = 2
"""The version of what is saved; what another version saved is refused."""

_NAME = "manifest.json"
# Large, so that a thread that computes checksums rarely needs Python's lock.
_CHUNK_BYTES = 1 << 20


def commit_directory(
    hidden: Path, path: Path, name: str, facts: Mapping[str, Any]
) -> None:
    """Writes `facts` as JSON file `name` and the manifest; renames `hidden` to `path`.

    An existing `path` is replaced. If it raises, for example because the disk is full,
    `path` is unchanged.
    """
    write_json(hidden / name, {"format": FORMAT, **facts})
    files = {
        str(file.relative_to(hidden)): _measure(file, flush=True)
        for file in _list_files(hidden)
    }
    write_json(hidden / _NAME, files)
    for each in [*filter(Path.is_dir, hidden.rglob("*")), hidden]:
        _flush_directory(each)
    replaced = path.with_name(f".old-{path.name}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(replaced)
    os.rename(hidden, path)
    _flush_directory(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)
    return_freed_memory()


def read_facts(directory: Path, name: str, verify: bool = True) -> dict[str, Any]:
    """Returns the content of the JSON file `name` in a committed directory.

    All files must exist; with `verify`, their checksums must match, too.

    Raises:
      ValueError, OSError: a file is missing or damaged.
    """
    # The manifest itself may be damaged, so a name in it is opened only if it is that
    # of a regular file in the directory, not of a pipe or of a device.
    present = {str(file.relative_to(directory)) for file in _list_files(directory)}
    files = _read_object(directory / _NAME)
    for needed in (name, *files):
        if needed not in files:
            raise ValueError(f"{_NAME} does not name {needed}")
        if needed not in present:
            raise ValueError(f"{needed} is missing or not a file")
    for file, expected in files.items():
        if verify and _measure(directory / file) != expected:
            raise ValueError(f"{file} has changed")
    return _read_object(directory / name)


def remove_directory(path: Path) -> None:
    """Removes a directory, hiding it first: a half-removed one would look damaged."""
    hidden = path.with_name(f".old-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def return_freed_memory() -> None:
    """Returns freed memory to the system, if the C library can.

    Otherwise the allocator keeps it, in an arena per thread, and a node stays as large
    as it was during its largest save.
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


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing or not a file")
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return content


def _list_files(directory: Path) -> Iterator[Path]:
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file != directory / _NAME:
            yield file


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
