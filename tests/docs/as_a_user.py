"""Runs commands and scripts of a page as a user of the repository does."""

import os

from pages import ROOT
from pythons import run_python


def run_distrl(words, folder, *paths):
    """Returns what `distrl` prints in `folder`; `paths` hold the user's modules."""
    done = call_python(["-m", "distrl", *words], folder, *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_script(text, folder):
    """Returns what a Python script prints in `folder`."""
    (folder / "script.py").write_text(text)
    done = call_python(["script.py"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def call_python(words, folder, *paths):
    """Returns the finished process of a Python in `folder`."""
    for name in ("configs", "programs"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    path = os.pathsep.join(map(str, [*paths, ROOT]))
    variables = {**os.environ, "PYTHONPATH": path}
    return run_python(*words, cwd=folder, env=variables, timeout=900)
