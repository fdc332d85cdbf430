"""Paths in fields and flags."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from distrl.config.fields import show_value
from distrl.config.paths import read_path
from distrl.errors import ConfigError

USER = pwd.getpwuid(os.getuid())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~", "{home}"),
        ("~/runs/one", "{home}/runs/one"),
        (f"~{USER.pw_name}/x", f"{USER.pw_dir}/x"),
        ("runs/~/one", "{here}/runs/~/one"),
        ("./~", "{here}/~"),
        ("$HOME/x", "{here}/$HOME/x"),
        ("a/../b", "{here}/b"),
        ("/absolute/", "/absolute"),
    ],
)
def test_paths_are_expanded_and_made_absolute(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    meant = expected.format(home=tmp_path / "home", here=tmp_path)
    assert read_path("run_dir", text) == Path(meant)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~nobody-has-this-name/x", "~nobody-has-this-name is not the home directory"),
        ("x" * 256, "File name too long"),
        ("d/" * 1950, "longer than 3800 bytes"),
        (os.fsdecode(b"no\xff"), "not valid UTF-8"),
        ("no\0", "null byte"),
    ],
)
def test_invalid_paths_are_refused(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_path("--video", text)
    assert str(caught.value).startswith("--video = ")


def test_inaccessible_directory_is_refused(tmp_path):
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0)
    # Other users must be able to enter the directories above.
    for above in tmp_path.parents:
        if above.stat().st_mode & 0o001:
            break
        above.chmod(0o711)
    code = (
        "import os, sys\nfrom distrl.config.paths import read_path\n"
        # Root may enter any directory.
        "if os.getuid() == 0: os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_path('run_dir', path)\n"
        "    except Exception as error: print(error)\n"
    )
    paths = [str(closed), str(closed / "inside")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        f"run_dir = {show_value(path)}: Permission denied; name another path"
        for path in paths
    ], done.stderr
