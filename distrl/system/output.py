"""What processes print and write: log lines, text for terminals, whole files."""

import contextlib
import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Control characters except tab and line feed, bidirectional marks, and surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def say(line: str) -> None:
    """Prints a line to the log of this process; a full disk loses it."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def make_plain(text: str) -> str:
    """Escapes what could control a terminal or cannot be printed."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def write_json(path: Path, content: Mapping[str, Any], durable: bool = True) -> None:
    """Writes a JSON file as `write_whole` does."""
    write_whole(path, json.dumps(content, indent=2) + "\n", durable)


def write_whole(path: Path, text: str, durable: bool = True) -> None:
    """Atomically replaces a file that only its owner may read.

    If `durable`, waits for the disk; a file that is rewritten often need not survive a
    power failure. The old contents stay after an OSError, for example of a full disk.
    """
    # Unique, as two threads may write at once.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
