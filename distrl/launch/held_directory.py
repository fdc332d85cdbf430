"""The run directory while the front works in it: locked, ready, and watched."""

import os
from pathlib import Path

from distrl.launch.resuming import Resumption, ready_run
from distrl.launch.run_directory import DIRECTORIES, make_run_dir, reopen_run_dir
from distrl.launch.run_lock import unlock_unchanged


class HeldDirectory:
    """A run directory that is kept from other runs.

    Once it is ready, its folders are held open, to tell them from new ones.
    """

    def __init__(self, path: Path, resumption: Resumption | None = None):
        """Takes an absolute path, and the lock of a resumed run; touches no file."""
        self.path = path
        self.lock = None if resumption is None else resumption.lock
        """The descriptor that keeps other runs away; None before `make_ready`."""
        self._resumption = resumption
        self._folders: dict[Path, int] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the run may write to it."""
        return bool(self._folders)

    def make_ready(self, config_yaml: str) -> None:
        """Creates the directory of a new run, or prepares that of a resumed one.

        Raises:
          ConfigError: it cannot be written to, or another run was faster.
        """
        if self._resumption is None:
            self.lock = make_run_dir(self.path, config_yaml)
        else:
            reopen_run_dir(self.path, config_yaml)
            ready_run(self.path, self._resumption.checkpoint)
        for folder in (self.path, *(self.path / name for name in DIRECTORIES)):
            self._folders[folder] = os.open(folder, os.O_RDONLY)

    def find_missing(self) -> Path | None:
        """Returns a directory that was removed or renamed, if any.

        One that cannot be accessed, as when a disk is offline, is not missing.
        """
        for path, descriptor in self._folders.items():
            try:
                if os.fstat(descriptor).st_nlink == 0:
                    return path
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:
                continue
        return None

    def close(self) -> None:
        """Unlocks the directory; leaves one that was not made ready as it was."""
        for descriptor in self._folders.values():
            os.close(descriptor)
        if self._resumption is not None and not self.is_ready:
            unlock_unchanged(self._resumption.lock, self._resumption.holder)
        elif self.lock is not None:
            os.close(self.lock)
