"""The line in a user's own files where an error was raised or a process hung."""

import os
import re
import traceback

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
_PACKAGES = re.compile(r"[/\\](site|dist)-packages[/\\]")
# distrl, the standard library, and code without a file.
_NOT_THEIRS = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
    os.path.dirname(os.__file__) + os.sep,
    "<",
)


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
