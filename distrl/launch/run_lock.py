"""The lock of a run directory: at most one run at a time."""

import fcntl
import os
from pathlib import Path

from distrl.errors import ConfigError

NAME = ".lock"
"""The file in a run directory that is locked; it is never removed."""


def lock_run_dir(run_dir: Path) -> int:
    """Returns a descriptor that keeps other runs out of a directory.

    The lock lasts until every copy of the descriptor is closed, in this process and in
    those that inherit or receive it. So it ends with the last process of a run.

    Raises:
      ConfigError: another run holds the lock, or the directory cannot be locked.
    """
    path = run_dir / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"run_dir: {path} cannot be opened: {error.strerror}. Name a directory "
            "that you may write to."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        os.close(descriptor)
        holder = read_holder(run_dir).strip() or "unknown"
        raise ConfigError(
            f"run_dir: {run_dir} is in use: a run that process {holder} "
            "started works in it, or has not quite ended. Stop that one, or wait."
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"run_dir: {path} cannot be locked: {error.strerror}. Name a directory "
            "on a file system that has locks."
        ) from error
    return descriptor


def read_holder(run_dir: Path) -> str:
    """Returns the content of the lock file: the process that locked it last."""
    try:
        return (run_dir / NAME).read_text(errors="replace")[:20]
    except OSError:
        return ""


def unlock_unchanged(descriptor: int, holder: str) -> None:
    """Releases a lock, and restores what `read_holder` returned before it."""
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)
    os.close(descriptor)
