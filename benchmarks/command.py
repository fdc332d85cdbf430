"""Commands that a benchmark runs, and that end with it."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# A run needs ten to end, and more for its last checkpoint.
_END_SECONDS = 60.0


def end_on_sigterm() -> None:
    """Makes SIGTERM unwind this process like Ctrl-C, so that it ends its commands."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def start_distrl(
    arguments: Sequence[str], **options: Any
) -> Iterator[subprocess.Popen]:
    """Starts `distrl` with `arguments`, and ends it; `options` are for Popen."""
    command = subprocess.Popen([sys.executable, "-m", "distrl", *arguments], **options)
    try:
        yield command
    finally:
        command.terminate()
        try:
            command.wait(_END_SECONDS)
        finally:
            command.kill()
