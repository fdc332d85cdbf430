"""Runs Python in a new process."""

import subprocess
import sys


def run_python(*arguments, timeout=240, **options) -> subprocess.CompletedProcess:
    """Returns the finished process, with its output as text."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
