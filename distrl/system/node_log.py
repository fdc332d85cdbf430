"""The log of a node, which is its stdout."""

import contextlib


def say(line: str) -> None:
    """Prints a line without buffering; a line that a full disk refuses is lost."""
    with contextlib.suppress(OSError):
        print(line, flush=True)
