"""User-facing errors, with did-you-mean suggestions."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Bad input found before anything starts; the command exits with 2.

    Its message is complete: the field or name, the value, what is allowed, what to do.
    """


class EnvironmentFault(RuntimeError):
    """An environment raised an error, or returned something that its spec forbids.

    The message names the index of the environment and the value. An error of the
    environment is the cause.

    Attributes:
      rule: the rule of `distrl check-env` that an observation breaks, or None.
    """

    def __init__(self, text: str, rule: str | None = None):
        """Takes the message, and the rule."""
        super().__init__(text)
        self.rule = rule


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """Returns the most similar of `words`, whatever its case; None if none is."""
    by_lower = {each.lower(): each for each in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def offer(*words: str) -> str:
    """Returns ` Did you mean 'x' or 'y'?`; empty without words."""
    return f" Did you mean {' or '.join(map(repr, words))}?" if words else ""


def suggest(word: str, words: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the most similar of `words`; may be empty."""
    nearest = find_nearest(word, words)
    return "" if nearest is None else offer(nearest)
