"""Paths that users write, in a shell or in YAML, where nobody expands `~`."""

import os
from pathlib import Path

from distrl.config.fields import show_value
from distrl.errors import ConfigError

# A path has at most 4,095 bytes, and a run directory holds paths of up to 200.
_LONGEST = 3800


def read_path(place: str, text: str) -> Path:
    """Returns an absolute path, with `~` and `~user` expanded.

    Args:
      place: where it stands, for messages: `run_dir` or `--video`.
      text: what stands there.

    Raises:
      ConfigError: there can be no such path, or it may not be entered.
    """
    shown = f"{place} = {show_value(text)}"
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = expanded.partition("/")[0]
        raise ConfigError(
            f"{shown}: {user} is not the home directory of anybody here; write the "
            f"path in full, or ./{user} for a directory of that name"
        )
    path = os.path.abspath(expanded)
    try:
        path.encode()
        # The last part asks whether what is inside a directory can be seen.
        os.stat(os.path.join(path, "."))
    except UnicodeEncodeError:
        raise ConfigError(
            f"{shown}: it is not valid UTF-8, which the libraries that read and write "
            "there need; rename it"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown}: {reason}; name another path") from error
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigError(f"{shown}: it is longer than {_LONGEST} bytes")
    return Path(path)
