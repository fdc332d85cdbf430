"""No file of the repository names a home directory or a package registry."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_OURS = {
    ".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache",
    "__pycache__", "build", "dist", "runs", "shared",
}  # fmt: skip

# Written so that no pattern matches its own text.
FORBIDDEN = {
    "a home directory": r"/(?:home|Users)/[\w.-]+/|/roo[t]/",
    "an option that names a registry": r"index[-_]url",
    "the address of a registry": r"https?://[^ )\"']*/(?:simple|packages)/",
    "the host of a registry": r"\bpypi\.org|pythonhosted\.org",
}


def list_files():
    """Returns the tracked files or, without git, all but the caches."""
    if (ROOT / ".git").exists():
        names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
        paths = [ROOT / name for name in names.split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(
                part in NOT_OURS or part.startswith(".venv") for part in path.parts
            )
        ]
    return [path for path in paths if path.is_file()]


def find_forbidden(text):
    """Yields the number and the kind of each forbidden line."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in FORBIDDEN.items():
            if re.search(pattern, line):
                yield number, what


def test_no_file_has_forbidden_lines():
    files = list_files()
    assert ROOT / "Makefile" in files
    found = []
    for path in files:
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode(errors="replace")
        name = path.relative_to(ROOT)
        found += [f"{name}:{line}: {what}" for line, what in find_forbidden(text)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "PYTHON = " + "/".join(["", "home", "ann", "python"]),
        "cd " + "/".join(["", "root", "x"]),
        "pip install --" + "index" + "-url x",
        "https://host" + "/simple/" + "jax",
        "see pypi" + ".org",
    ],
)
def test_forbidden_lines_are_found(line):
    assert list(find_forbidden("fine\n" + line))[0][0] == 2
