"""Text from files, errors and environments, made safe to print on a terminal."""

import re

# Control characters except tab and line feed, bidirectional marks, and surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def make_plain(text: str) -> str:
    """Escapes what could control a terminal or cannot be printed."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
