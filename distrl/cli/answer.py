"""The output of a command: its answer on stdout, everything else on stderr."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from distrl.system.output import make_plain

Document = TypeVar("Document")

# Writing to a closed pipe or terminal.
_CLOSED = (errno.EPIPE, errno.EIO)


class HelpShown(Exception):
    """Raised once the help of a command was printed, to end the command."""


class AnswerLost(Exception):
    """Raised when the answer of a command cannot be written to stdout."""


def print_answer(text: str) -> None:
    """Prints text on stdout; ignores a closed pipe, but not a full disk."""
    try:
        print(make_plain(text), flush=True)
    except OSError as error:
        # The interpreter flushes stdout at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno not in _CLOSED:
            raise AnswerLost(error.strerror) from error


def print_error(text: str) -> None:
    """Prints text on stderr; ignores errors."""
    with contextlib.suppress(OSError):
        print(make_plain(text), file=sys.stderr, flush=True)


def give_answer(
    run: Callable[[], tuple[int, Document]],
    show: Callable[[Document], str],
    as_json: bool,
) -> tuple[int, Document]:
    """Runs a command, prints only its answer on stdout, and returns what `run` does.

    `run` returns the exit code and the answer, which JSON can represent.
    """
    with reserve_stdout() as write:
        code, answer = run()
        text = json.dumps(answer, indent=2) if as_json else make_plain(show(answer))
        write(f"{text}\n")
    return code, answer


@contextlib.contextmanager
def reserve_stdout() -> Iterator[Callable[[str], None]]:
    """Sends all output to stderr, also of native code; yields a writer to stdout."""
    sys.stdout.flush()
    kept = os.dup(1)

    def write(text: str) -> None:
        try:
            with open(kept, "w", closefd=False) as out:
                out.write(text)
        except OSError as error:
            if error.errno not in _CLOSED:
                raise AnswerLost(error.strerror) from error

    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def shorten_path(path: str | os.PathLike[str]) -> str:
    """Returns the path relative to the working directory, if it is inside it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
