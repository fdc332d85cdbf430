"""The error that a user mends: bad configuration, environment or network."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Bad input found before anything starts; the command exits with 2.

    Its message is whole: the field or name, the value, what is allowed, what to do.
    """


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the nearest spelling, or nothing."""
    near = difflib.get_close_matches(name, list(allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
