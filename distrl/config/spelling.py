"""The nearest spelling of a word that was not found."""

import difflib
from collections.abc import Iterable


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """Returns the word that `word` was probably meant to be; None if none is near."""
    by_lower = {each.lower(): each for each in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggest(word: str, words: Iterable[str]) -> str:
    """Returns `; did you mean X?`, or nothing when no word is near."""
    nearest = find_nearest(word, words)
    return "" if nearest is None else f"; did you mean {nearest}?"
