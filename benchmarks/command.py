"""The commands that a benchmark runs end with it."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# A run takes ten to end, and a last checkpoint.
_END_SECONDS = 60.0


def end_on_sigterm() -> None:
    """Makes SIGTERM unwind this process, as Ctrl-C does: what it started is ended."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def start_distrl(
    arguments: Sequence[str], **options: Any
) -> Iterator[subprocess.Popen]:
    """Starts `distrl` with `arguments`, and ends it; `options` are those of Popen."""
    command = subprocess.Popen([sys.executable, "-m", "distrl", *arguments], **options)
    try:
        yield command
    finally:
        command.terminate()
        try:
            command.wait(_END_SECONDS)
        finally:
            command.kill()
