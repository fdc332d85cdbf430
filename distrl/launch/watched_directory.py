"""Whether a run directory is still there while the run works in it."""

import os
from pathlib import Path

from distrl.launch.run_directory import DIRECTORIES


class WatchedDirectory:
    """Holds a run directory and its folders open, to tell them from new ones."""

    def __init__(self, run_dir: Path):
        """Takes a run directory that is whole."""
        paths = [run_dir, *(run_dir / name for name in DIRECTORIES)]
        self._open = {path: os.open(path, os.O_RDONLY) for path in paths}

    def find_missing(self) -> Path | None:
        """Returns the directory that was removed or renamed; None while all are there.

        One that cannot be looked at, as on a disk that is away, is not missing.
        """
        for path, descriptor in self._open.items():
            try:
                if os.fstat(descriptor).st_nlink == 0:
                    return path
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:
                continue
        return None

    def describe_missing(self) -> str | None:
        """Says which directory is missing; None while all are there."""
        missing = self.find_missing()
        if missing is None:
            return None
        return (
            f"{missing} was removed or renamed while the run worked in it. What was "
            "there is lost to the run, which has been stopped."
        )

    def close(self) -> None:
        """Lets go of the directories."""
        for descriptor in self._open.values():
            os.close(descriptor)
