"""Paths given by users in flags and YAML, where no shell expands `~`."""

import os
from pathlib import Path

from distrl.config.fields import show_value
from distrl.errors import ConfigError

# Linux allows 4,095 bytes; paths inside a run directory take up to 200.
_LONGEST = 3800


def read_path(place: str, text: str) -> Path:
    """Returns an absolute path with `~` expanded; messages call the path `place`."""
    shown = f"{place} = {show_value(text)}"
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = expanded.partition("/")[0]
        raise ConfigError(
            f"{shown}: {user} is not the home directory of a user of this machine; "
            f"write the path in full, or ./{user} for a directory of that name"
        )
    path = os.path.abspath(expanded)
    try:
        path.encode()
        # The "." checks whether the directory may be entered.
        os.stat(os.path.join(path, "."))
    except UnicodeEncodeError:
        raise ConfigError(
            f"{shown}: it is not valid UTF-8, which the libraries that use it need; "
            "rename it"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown}: {reason}; name another path") from error
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigError(f"{shown}: it is longer than {_LONGEST} bytes")
    return Path(path)
