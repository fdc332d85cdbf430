"""The versions of a run's packages, and the commits of its code."""

import contextlib
import functools
import importlib.metadata
import subprocess
from pathlib import Path

_PACKAGES = (
    "distrl jax jaxlib dm-haiku optax rlax dm-reverb dm-launchpad-nightly "
    "tensorflow-cpu bsuite gymnasium"
)
# A repository on a slow disk must not delay a run.
_GIT_SECONDS = 5.0


@functools.cache
def read_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that matter for a run."""
    versions = {}
    for name in _PACKAGES.split():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def find_commits() -> dict[str, str]:
    """Returns the commits of the working directory and of distrl, where Git has them.

    A commit ends with `-dirty` if tracked files differ from it.
    """
    folders = {"working directory": Path()}
    root = Path(__file__).parents[2]
    # Installed into an environment, it may be inside of another repository.
    if (root / ".git").exists():
        folders["distrl"] = root
    found = {name: _find_commit(folder) for name, folder in folders.items()}
    return {name: commit for name, commit in found.items() if commit}


def _find_commit(folder: Path) -> str:
    describe = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    command = ["git", "--no-optional-locks", "-C", str(folder), *describe]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS
        )
        return done.stdout.strip()
    return ""
