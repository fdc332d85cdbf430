"""Errors shown to users: suggestions for misspelled names, the line in their files."""

import difflib
import os
import re
import traceback
from collections.abc import Iterable

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
_PACKAGES = re.compile(r"[/\\](site|dist)-packages[/\\]")
# distrl, the standard library, and code without a file.
_NOT_THEIRS = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    os.path.dirname(os.__file__) + os.sep,
    "<",
)


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


def locate_error(error: BaseException | None) -> str:
    """Returns the user's line behind an error, ` (/my/environment.py:42)`, or ""."""
    place = ""
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if _is_theirs(frame.f_code.co_filename):
                place = f" ({frame.f_code.co_filename}:{line})"
        error = error.__cause__
    return place


def locate_dump(dump: str) -> str:
    """Returns the user's line where a faulthandler dump shows the main thread."""
    # The dump marks the thread that got the signal; without a mark, main is last.
    start = max(dump.find("Current thread"), 0) or max(dump.rfind("Thread 0x"), 0)
    for file, line in _FRAME.findall(dump, start):
        if _is_theirs(file):
            return f" ({file}:{line})"
    return ""


def _is_theirs(file: str) -> bool:
    return not file.startswith(_NOT_THEIRS) and not _PACKAGES.search(file)
