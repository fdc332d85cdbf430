"""A file by which the machines of a run know whether they see its disk."""

import uuid
from pathlib import Path

from distrl.errors import ConfigError


def make_token(run_dir: Path) -> Path:
    """Makes a file with a name of its own in a run's directory.

    Where that is not there yet, it is in the nearest one above it that is.

    Args:
      run_dir: absolute.

    Raises:
      ConfigError: it cannot be written to.
    """
    place = run_dir
    while not place.is_dir():
        place = place.parent
    token = place / f".distrl-{uuid.uuid4().hex}"
    try:
        token.touch()
    except OSError as error:
        raise ConfigError(
            f"run_dir: {place} cannot be written to: {error.strerror}. Name a "
            "directory that you may write to."
        ) from error
    return token
