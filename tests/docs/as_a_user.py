"""Runs a command of a page as a user does who sits in the repository."""

import os
import subprocess
import sys

from pages import ROOT


def run_distrl(words, folder, *paths):
    """Returns what `distrl` prints in `folder`; `paths` are where modules are found."""
    for name in ("configs", "programs"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    path = os.pathsep.join(map(str, [*paths, ROOT]))
    environment = {**os.environ, "PYTHONPATH": path}
    # The tests show four devices to JAX; a run is to see the machine's own.
    environment.pop("XLA_FLAGS", None)
    done = subprocess.run(
        [sys.executable, "-m", "distrl", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
