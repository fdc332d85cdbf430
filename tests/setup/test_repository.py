"""No file of the repository names a home directory or a package registry."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Written so that no pattern matches its own text.
FORBIDDEN = {
    "a home directory": r"/(?:home|Users)/[\w.-]+/|/roo[t]/",
    "an option that names a registry": r"index[-_]url",
    "the address of a registry": r"https?://[^ )\"']*/(?:simple|packages)/",
    "the host of a registry": r"\bpypi\.org|pythonhosted\.org",
}


def find_forbidden(text):
    """Yields the number and the kind of each forbidden line."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in FORBIDDEN.items():
            if re.search(pattern, line):
                yield number, what


def test_no_file_has_forbidden_lines():
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    found = []
    for name in filter(None, names.split("\0")):
        text = (ROOT / name).read_text(errors="replace")
        found += [f"{name}:{line}: {what}" for line, what in find_forbidden(text)]
    assert found == []


def test_forbidden_lines_are_found():
    lines = [
        "fine",
        "PYTHON = " + "/".join(["", "home", "ann", "python"]),
        "pip install --" + "index" + "-url x",
        "https://host" + "/simple/" + "jax",
        "see pypi" + ".org",
    ]
    found = list(find_forbidden("\n".join(lines)))
    assert found == [(2 + i, what) for i, what in enumerate(FORBIDDEN)]
