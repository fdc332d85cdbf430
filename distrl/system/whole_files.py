"""Files that are replaced atomically."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
