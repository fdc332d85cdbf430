"""What a command says on stdout, apart from all that it says on the way."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator

from distrl.plain_text import make_plain

# Of a pipe and of a terminal whose other end was closed.
_GONE = (errno.EPIPE, errno.EIO)


class AnswerLost(Exception):
    """What a command had to say could not be written to stdout."""


def print_answer(text: str) -> None:
    """Prints text on stdout; that nobody reads it any more is not an error.

    Raises:
      AnswerLost: it cannot be written, for example to a full disk.
    """
    try:
        print(make_plain(text), flush=True)
    except OSError as error:
        # The interpreter flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno not in _GONE:
            raise AnswerLost(error.strerror) from error


def print_error(text: str) -> None:
    """Prints text on stderr, if anybody still reads it."""
    with contextlib.suppress(OSError):
        print(make_plain(text), file=sys.stderr, flush=True)


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
            if error.errno not in _GONE:
                raise AnswerLost(error.strerror) from error

    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(kept, 1)
        os.close(kept)
