"""Errors shown to users, with suggestions for misspelled names."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Raised for bad input before anything starts; the command exits with 2.

    The message gives the field or name, the value, what is allowed, and what to do.
    """


class EnvironmentFault(RuntimeError):
    """Raised when an environment raises an error or returns what its spec forbids.

    Attributes:
      rule: the rule of `distrl check-env` that an observation breaks, or None.
    """

    def __init__(self, text: str, rule: str | None = None):
        """Takes the message and the broken rule."""
        super().__init__(text)
        self.rule = rule


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """Returns the most similar of `words`, ignoring case, or None."""
    by_lower = {each.lower(): each for each in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def offer(*words: str) -> str:
    """Returns ` Did you mean 'x' or 'y'?`; empty without words."""
    return f" Did you mean {' or '.join(map(repr, words))}?" if words else ""


def suggest(word: str, words: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the most similar of `words`, or empty text."""
    nearest = find_nearest(word, words)
    return "" if nearest is None else offer(nearest)
