"""What a command says on stdout, apart from all that it says on the way."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


def print_answer(text: str) -> None:
    """Prints text on stdout; a reader that has gone, as `head` does, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def reserve_stdout() -> Iterator[Callable[[str], None]]:
    """Sends to stderr what anything, also native code, prints on stdout meanwhile.

    Yields:
      A function that writes text to the real stdout.
    """
    sys.stdout.flush()
    kept = os.dup(1)

    def write(text: str) -> None:
        with (
            contextlib.suppress(BrokenPipeError),
            open(kept, "w", closefd=False) as out,
        ):
            out.write(text)

    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(kept, 1)
        os.close(kept)
