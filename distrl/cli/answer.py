"""What a command prints: its answer on stdout, everything else on stderr."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from distrl.plain_text import make_plain

Document = TypeVar("Document")

# Errors of a pipe and of a terminal whose other end was closed.
_CLOSED = (errno.EPIPE, errno.EIO)


class AnswerLost(Exception):
    """The answer of a command could not be written to stdout."""


def print_answer(text: str) -> None:
    """Prints text on stdout; it is not an error if nobody reads it any more.

    Raises:
      AnswerLost: it cannot be written, for example to a full disk.
    """
    try:
        print(make_plain(text), flush=True)
    except OSError as error:
        # The interpreter flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno not in _CLOSED:
            raise AnswerLost(error.strerror) from error


def print_error(text: str) -> None:
    """Prints text on stderr, if anybody still reads it."""
    with contextlib.suppress(OSError):
        print(make_plain(text), file=sys.stderr, flush=True)


def give_answer(
    run: Callable[[], tuple[int, Document]],
    show: Callable[[Document], str],
    as_json: bool,
) -> tuple[int, Document]:
    """Runs a command and prints its answer on stdout, apart from all other output.

    Args:
      run: returns the exit code and the answer, as data for JSON.
      show: returns the answer as text.
      as_json: print the data, not the text.

    Returns:
      What `run` returned.
    """
    with reserve_stdout() as write:
        code, answer = run()
        text = json.dumps(answer, indent=2) if as_json else make_plain(show(answer))
        write(f"{text}\n")
    return code, answer


@contextlib.contextmanager
def reserve_stdout() -> Iterator[Callable[[str], None]]:
    """Sends to stderr what anything, also native code, prints on stdout meanwhile.

    Yields:
      A function that writes text to the real stdout.
    """
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
    """Returns a path from the working directory, if it is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
