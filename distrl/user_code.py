"""Where in a user's own files something was raised, or stopped."""

import os
import re
import traceback

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
_PACKAGES = re.compile(r"[/\\](site|dist)-packages[/\\]")
# Neither distrl nor Python itself.
_NOT_THEIRS = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    os.path.dirname(os.__file__) + os.sep,
    "<",
)


def locate_error(error: BaseException | None) -> str:
    """Returns the user's line that led to an error, ` (/my/environment.py:42)`.

    It is empty where no code of the user's took part.
    """
    place = ""
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if _is_theirs(frame.f_code.co_filename):
                place = f" ({frame.f_code.co_filename}:{line})"
        error = error.__cause__
    return place


def locate_dump(dump: str) -> str:
    """Returns the user's line at which a dump of faulthandler found the main thread."""
    # The thread that got the signal is marked; if it is not Python's, main is the last.
    start = max(dump.find("Current thread"), 0) or max(dump.rfind("Thread 0x"), 0)
    for file, line in _FRAME.findall(dump, start):
        if _is_theirs(file):
            return f" ({file}:{line})"
    return ""


def _is_theirs(file: str) -> bool:
    return not file.startswith(_NOT_THEIRS) and not _PACKAGES.search(file)
