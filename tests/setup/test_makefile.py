"""The Makefile: how it finds Python 3.10, what it installs, and when not again.

Each test runs the real `make` in a copy of the set-up files, with a PATH that holds
the few tools that the Makefile needs and only the Pythons that the test puts there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = [
    "awk", "cat", "cut", "dirname", "flock", "grep", "make", "rm", "sh",
    "sha256sum", "touch",
]  # fmt: skip
WAYS = ["pyenv", "uv python install 3.10", "deadsnakes", "conda", "PYTHON="]

# A stand-in runs the probe of the Makefile in this Python, after a line of its own.
STAND_IN = """#!/bin/sh
exec '{python}' -c "import sys; {line}; exec(sys.argv[2])" "$@"
"""
IS_311 = "sys.version_info = (3, 11, 7)"
HAS_NO_VENV = "sys.modules['ensurepip'] = None"


class Copy:
    """A copy of the set-up files, in a path with a space, and its own PATH."""

    def __init__(self, place: Path):
        self.root = place / "a copy"
        self.bin = place / "bin"
        self.home = place / "home"
        for path in (self.root, self.bin, self.home):
            path.mkdir()
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)

    def make(self, *args, **environment):
        env = {"PATH": str(self.bin), "HOME": str(self.home), **environment}
        return subprocess.run(
            ["make", *args],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def add_python(self, path: Path, line: str = "pass"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_script(path, STAND_IN.format(python=sys.executable, line=line))

    def pretend_installed(self):
        """Writes the stamps that `make install` would write, and a Python."""
        todo = self.make("-n", "install").stdout
        stamps = sorted(set(re.findall(r"\.venv/\.(?:locked|installed)-\w+", todo)))
        assert len(stamps) == 2, todo
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
        for stamp in reversed(stamps):  # locked first, then installed
            (self.root / stamp).touch()


def write_script(path: Path, text: str):
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def find_python(copy, **environment):
    return subprocess.run(
        [str(copy.root / ".ci" / "find-python")],
        env={"PATH": str(copy.bin), "HOME": str(copy.home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("target", ["train", "test", "install", "bench"])
def test_no_python_gives_one_message_and_fails(copy, target):
    done = copy.make(target)
    assert done.returncode == 2
    assert "No Python 3.10 that can be used was found." in done.stderr
    for way in WAYS:
        assert done.stderr.count(way) >= 1, way
    assert not (copy.root / ".venv").exists()


def test_wrong_version_is_named(copy):
    copy.add_python(copy.bin / "other", IS_311)
    done = copy.make("train", "PYTHON=other")
    assert done.returncode == 2
    assert "PYTHON=other is Python 3.11.7, not a Python 3.10" in done.stderr
    assert not (copy.root / ".venv").exists()


def test_python_that_cannot_be_run_is_named(copy):
    done = copy.make("train", PYTHON="/no/such/python")
    assert done.returncode == 2
    assert "PYTHON=/no/such/python cannot be run" in done.stderr


def test_given_python_is_the_only_one_looked_at(copy):
    copy.add_python(copy.bin / "python3.10")
    copy.add_python(copy.bin / "other", IS_311)
    assert find_python(copy, PYTHON="other").returncode == 2


def test_python_without_venv_is_passed_over_and_named(copy):
    copy.add_python(copy.bin / "python3.10", HAS_NO_VENV)
    done = find_python(copy)
    assert done.returncode == 2
    assert re.search(r"python3\.10 is Python 3\.10\.\d+ without its venv", done.stderr)


@pytest.mark.parametrize(
    "place",
    [
        "bin/python3.10",
        "bin/python3",
        "home/.pyenv/versions/3.10.13/bin/python3.10",
        "home/.local/share/uv/python/cpython-3.10.13-linux/bin/python3.10",
    ],
)
def test_python_is_found(copy, place):
    copy.add_python(copy.root.parent / place)
    done = find_python(copy)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == sys.executable + "\n"


def test_shim_that_fails_is_passed_over(copy, tmp_path):
    write_script(copy.bin / "python3.10", "#!/bin/sh\nexit 127\n")
    copy.add_python(copy.bin / "python3", IS_311)
    copy.add_python(tmp_path / "env" / "versions" / "3.10.9" / "bin" / "python3.10")
    done = find_python(copy, PYENV_ROOT=str(tmp_path / "env"))
    assert done.stdout == sys.executable + "\n"


def test_second_call_installs_nothing(copy):
    assert copy.make("-q", "install").returncode == 1
    copy.pretend_installed()
    assert copy.make("-q", "install").returncode == 0
    for name in ("requirements.lock", "pyproject.toml", "Makefile"):
        (copy.root / name).touch()
    assert copy.make("-q", "install").returncode == 0


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_change_installs_again(copy, name):
    copy.pretend_installed()
    with (copy.root / name).open("a") as file:
        file.write("# changed\n")
    assert copy.make("-q", "install").returncode == 1
    remade = ".ci/make-venv" in copy.make("-n", "install").stdout
    assert remade == (name == "requirements.lock")


def test_moved_directory_installs_again(copy):
    copy.pretend_installed()
    copy.root = copy.root.rename(copy.root.with_name("elsewhere"))
    assert copy.make("-q", "install").returncode == 1


def test_vanished_python_installs_again(copy):
    copy.pretend_installed()
    python = copy.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(copy.root / "gone")
    assert copy.make("-q", "install").returncode == 1


def test_install_cut_short_leaves_no_stamp(copy):
    done = copy.make("install", PYTHON=sys.executable, PIP_NO_INDEX="1")
    assert done.returncode == 2
    assert "The same command starts it again." in done.stderr
    assert (copy.root / ".venv" / "bin" / "python").exists()
    assert not list((copy.root / ".venv").glob(".locked-*"))
    assert copy.make("-q", "install").returncode == 1


def test_train_gives_configuration_and_arguments(copy):
    copy.pretend_installed()
    write_script(copy.root / ".venv" / "bin" / "distrl", '#!/bin/sh\necho "ran $@"\n')
    done = copy.make("-s", "train", "ARGS=--seed 2")
    assert (done.returncode, done.stdout) == (
        0,
        "ran train configs/catch.yaml --seed 2\n",
    )


def test_train_fails_when_the_command_fails(copy):
    copy.pretend_installed()
    write_script(copy.root / ".venv" / "bin" / "distrl", "#!/bin/sh\nexit 1\n")
    assert copy.make("train").returncode != 0


@pytest.mark.parametrize("failing", ["ruff", "mypy", "python", None])
def test_test_stops_at_the_first_failure(copy, failing):
    copy.pretend_installed()
    (copy.root / ".venv" / "bin" / "python").unlink()
    for tool in ("ruff", "mypy", "python"):
        code = int(tool == failing)
        text = f"#!/bin/sh\necho {tool} $1 $2\nexit {code}\n"
        write_script(copy.root / ".venv" / "bin" / tool, text)
    done = copy.make("-s", "test")
    steps = ["ruff check", "ruff format --check", "mypy", "python -m pytest"]
    last = {"ruff": 1, "mypy": 3, "python": 4, None: 4}[failing]
    assert [line.strip() for line in done.stdout.splitlines()] == steps[:last]
    assert (done.returncode == 0) == (failing is None)


def test_help_lists_every_target(copy):
    shown = copy.make().stdout
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.M)
    targets = set(phony[1].split()) - {"FORCE"}
    assert set(re.findall(r"^make ([a-z-]+) ", shown, re.M)) == targets


def test_ci_runs_make_test(copy):
    copy.pretend_installed()
    write_script(copy.root / ".venv" / "bin" / "ruff", "#!/bin/sh\nexit 1\n")
    done = subprocess.run(
        ["sh", str(copy.root / ".ci" / "run")],
        cwd="/",
        env={"PATH": str(copy.bin), "HOME": str(copy.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "ruff check" in done.stdout
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
