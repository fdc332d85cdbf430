"""The errors that a user mends, and the spelling that they offer."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Bad input found before anything starts; the command exits with 2.

    Its message is whole: the field or name, the value, what is allowed, what to do.
    """


class EnvironmentFault(RuntimeError):
    """An environment raised, or returned what does not fit its spec.

    Its message names the environment by its index, and the value. What the
    environment raised is the cause.

    Attributes:
      rule: the rule of `distrl check-env` that an observation breaks, or None.
    """

    def __init__(self, text: str, rule: str | None = None):
        """Takes the message, and the rule if it is of an observation."""
        super().__init__(text)
        self.rule = rule


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """Returns what `word` was probably meant to be, whatever its case; or None."""
    by_lower = {each.lower(): each for each in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def offer(*words: str) -> str:
    """Returns ` Did you mean 'x' or 'y'?`, or nothing when there are no words."""
    return f" Did you mean {' or '.join(map(repr, words))}?" if words else ""


def suggest(word: str, words: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the nearest of `words`, or nothing."""
    nearest = find_nearest(word, words)
    return "" if nearest is None else offer(nearest)
