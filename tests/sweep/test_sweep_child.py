"""The command of a run of a sweep is `distrl`, and lives no longer than the sweep."""

import os
import subprocess
import sys

import distrl


def start(parent, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "distrl.sweep.child", str(parent), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_is_the_command():
    done = start(os.getpid(), "--version")
    assert (done.returncode, done.stdout) == (0, f"distrl {distrl.__version__}\n")
    assert start(os.getpid(), "trian").returncode == 2


def test_it_does_nothing_for_a_sweep_that_has_gone():
    done = start(os.getpid() + 1, "--version")
    assert (done.returncode, done.stdout) == (1, "")
