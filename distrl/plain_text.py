"""Text from files, errors and environments, as a terminal may be given it."""

import re

# All controls but tab and line feed; marks that reverse text; bytes that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)


def make_plain(text: str) -> str:
    """Returns text that cannot move a cursor or set a title, and can be printed."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
