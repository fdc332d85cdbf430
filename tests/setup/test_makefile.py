"""`make` in a copy of the set-up files, with only the Pythons that a test adds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ["awk", "cat", "cut", "dirname", "flock", "grep", "make", "rm", "sh"]
TOOLS += ["sha256sum", "touch"]
# The tests run on any Python.
_IS_3_10 = "sys.version_info = (3, 10, 13)"
LOCKS = ("requirements.lock", "requirements-core.lock")


class Copy:
    """A copy of the set-up files in a path with a space, with its own PATH."""

    def __init__(self, place: Path):
        self.root = place / "a copy"
        self.bin = place / "bin"
        for path in (self.root, self.bin):
            path.mkdir()
        for name in ("Makefile", "pyproject.toml", *LOCKS):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)

    def run(self, *command, **variables):
        environment = {"PATH": str(self.bin), "HOME": str(self.root.parent)}
        environment.update(variables)
        options = {"cwd": self.root, "env": environment, "timeout": 120}
        return subprocess.run(command, capture_output=True, text=True, **options)

    def make(self, *arguments, **variables):
        return self.run("make", *arguments, **variables)

    def is_installed(self):
        return self.make("-q", "install").returncode == 0

    def add_python(self, place: str, line: str = _IS_3_10):
        """Adds a stand-in that runs the probe of `.ci/find-python` after a line."""
        command = f"exec '{sys.executable}' -c"
        script = f'{command} "import sys; {line}; exec(sys.argv[2])" "$@"'
        write_script(self.root.parent / place, script)

    def pretend_installed(self):
        """Writes the stamps that `make install` would write, and stand-in commands."""
        todo = self.make("-n", "install").stdout
        stamps = sorted(set(re.findall(r"\.venv/\.(?:locked|installed)-\w+", todo)))
        assert len(stamps) == 2, todo
        for name in ("ruff", "mypy", "python", "distrl"):
            write_script(self.root / ".venv/bin" / name, f"echo {name} $@")
        for stamp in reversed(stamps):  # locked first, then installed
            (self.root / stamp).touch()


def write_script(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("", ["No Python 3.10", "pyenv", "uv python install 3.10", "conda", "PYTHON="]),
        ("other", ["PYTHON=other is Python 3.11.7, not a Python 3.10"]),
        ("/no/such/python", ["PYTHON=/no/such/python cannot be run"]),
    ],
)
def test_unusable_python_is_reported(copy, python, words):
    copy.add_python("bin/other", "sys.version_info = (3, 11, 7)")
    copy.add_python("bin/python3.10", "sys.modules['ensurepip'] = None")
    done = copy.make("train", PYTHON=python)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words)
    assert not (copy.root / ".venv").exists()


PYENV = ".pyenv/versions/3.10.13/bin/python3.10"
UV = ".local/share/uv/python/cpython-3.10.13-linux/bin/python3.10"


@pytest.mark.parametrize("place", ["bin/python3.10", "bin/python3", PYENV, UV])
def test_python_is_found(copy, place):
    # A shim of another version manager may fail.
    write_script(copy.bin / "python3.10", "exit 127")
    copy.add_python(place)
    done = copy.run(".ci/find-python")
    assert (done.stdout, done.stderr) == (sys.executable + "\n", "")


def test_only_changed_content_triggers_install(copy):
    assert not copy.is_installed()
    copy.pretend_installed()
    for name in ("requirements.lock", "pyproject.toml", "Makefile"):
        (copy.root / name).touch()
    assert copy.is_installed()
    with (copy.root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert not copy.is_installed()
    assert ".ci/make-venv" not in copy.make("-n", "install").stdout
    with (copy.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    assert ".ci/make-venv" in copy.make("-n", "install").stdout


def test_moved_directory_or_missing_python_triggers_install(copy):
    copy.pretend_installed()
    home = copy.root
    copy.root = home.rename(home.with_name("elsewhere"))
    assert not copy.is_installed()
    copy.root = copy.root.rename(home)
    (copy.root / ".venv/bin/python").unlink()
    assert not copy.is_installed()


def test_failed_install_leaves_no_stamp(copy):
    copy.add_python("bin/python3.10")
    done = copy.make("install", PIP_NO_INDEX="1")
    assert done.returncode == 2
    assert "Run the same command to start it again." in done.stderr
    assert (copy.root / ".venv" / "bin" / "python").exists()
    assert not copy.is_installed()


def test_make_train_passes_configuration_and_arguments(copy):
    copy.pretend_installed()
    done = copy.make("-s", "train", "ARGS=--seed 2")
    assert done.stdout == "distrl train configs/catch.yaml --seed 2\n"


@pytest.mark.parametrize("failing", ["ruff", "mypy", "python", None])
def test_make_test_stops_at_first_failure(copy, failing):
    copy.pretend_installed()
    if failing is not None:
        write_script(copy.root / ".venv/bin" / failing, f"echo {failing} $@; exit 1")
    # Continuous integration runs `make test` by this script.
    done = copy.run(".ci/run")
    shown = re.findall(r"^(ruff|mypy|python)\b", done.stdout, re.M)
    steps = ["ruff", "ruff", "mypy", "python"]
    last = 4 if failing is None else steps.index(failing) + 1
    assert shown == steps[:last]
    assert (done.returncode == 0) == (failing is None)


def test_make_help_lists_every_target(copy):
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.M)
    targets = set(phony[1].split()) - {"FORCE"}
    assert set(re.findall(r"^make ([a-z-]+) ", copy.make().stdout, re.M)) == targets
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
