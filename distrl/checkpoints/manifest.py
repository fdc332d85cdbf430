"""The manifest of a saved directory: size and checksum of every file in it."""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distrl.whole_files import write_json

_NAME = "manifest.json"
_CHUNK_BYTES = 1 << 16


def write_manifest(directory: Path) -> None:
    """Lists all files of a directory in its manifest and flushes them to the disk."""
    files = {
        str(file.relative_to(directory)): _measure(file, flush=True)
        for file in _list_files(directory)
    }
    write_json(directory / _NAME, files)
    for each in [*filter(Path.is_dir, directory.rglob("*")), directory]:
        flush_directory(each)


def read_facts(directory: Path, name: str, verified: bool = False) -> dict[str, Any]:
    """Returns the object in a JSON file of a directory, once all files are checked.

    Args:
      directory: with a manifest.
      name: of the JSON file.
      verified: the files were compared with their checksums a moment ago.

    Raises:
      ValueError, OSError: a file is missing or damaged.
    """
    # What the manifest names is read only if it is a file in the directory: there may
    # be a pipe in its place, or an absolute path to a device.
    there = {str(file.relative_to(directory)) for file in _list_files(directory)}
    files = _read_object(directory / _NAME)
    for needed in (name, *files):
        if needed not in files:
            raise ValueError(f"{_NAME} does not name {needed}")
        if needed not in there:
            raise ValueError(f"{needed} is missing, or is not a file")
    for file, expected in files.items():
        if not verified and _measure(directory / file) != expected:
            raise ValueError(f"{file} has changed")
    return _read_object(directory / name)


def flush_directory(path: Path) -> None:
    """Flushes the names in a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing, or is not a file")
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return content


def _list_files(directory: Path) -> Iterator[Path]:
    """Yields the files below a directory, but not the manifest itself."""
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file != directory / _NAME:
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
