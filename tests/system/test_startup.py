"""Commands with closed streams, without a home, or without a working directory."""

import os
import subprocess
import sys

import pytest

_CLOSE = """
import os, sys
for number in map(int, sys.argv[1].split()):
    os.close(number)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

# The process writes its result to a file, since its streams may be closed.
_LOOK = """
import os, socket, sys
from distrl.system.startup import settle
settle()
a, b = socket.socketpair()
sys.stdout.write("out"); sys.stdout.flush()
sys.stderr.write("err"); sys.stderr.flush()
sys.stdin.read()
b.setblocking(False)
try:
    b.recv(1)
except BlockingIOError:
    open(sys.argv[1], "w").write(f"{min(a.fileno(), b.fileno()) > 2}")
"""


def start(code, *arguments, closed="", **options):
    command = [sys.executable, "-c", _CLOSE, closed, "-c", code, *arguments]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_new_files_do_not_replace_closed_streams(tmp_path, closed):
    done = start(_LOOK, str(tmp_path / "seen"), closed=closed)
    assert (tmp_path / "seen").read_text() == "True", done.stderr
    assert done.stdout == ("" if "1" in closed else "out")
    assert done.stderr == ("" if "2" in closed else "err")


@pytest.mark.parametrize("closed", ["1", "0 1 2"])
def test_command_with_closed_streams_keeps_exit_code(closed):
    code = "import sys; from distrl.cli.main import main; sys.exit(main())"
    assert start(code, "--version", closed=closed).returncode == 0
    assert start(code, "trian", closed=closed).returncode == 2


_SETTLE = "import os\nfrom distrl.system.startup import settle\nsettle()\n"
_HOME = _SETTLE + "home = os.path.expanduser('~')\nprint(home, os.path.isdir(home))"
# As for a user without an entry in passwd.
_NOBODY = "import pwd\npwd.getpwuid = {}.__getitem__\n"


@pytest.mark.parametrize("home", ["", ".", "relative/home"])
def test_user_without_home_gets_temporary_home(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    unset = "" if home else "import os; del os.environ['HOME']\n"
    done = start(_NOBODY + unset + _HOME, cwd=tmp_path)
    found, existed = done.stdout.split()
    assert (os.path.isabs(found), existed) == (True, "True")
    assert not os.path.exists(found)
    assert list(tmp_path.iterdir()) == []


def test_known_home_is_kept_and_pythonpath_becomes_absolute(tmp_path, monkeypatch):
    root = os.path.dirname(os.path.dirname(__file__))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{root}:mine::/other")
    done = start(_HOME + "\nprint(os.environ['PYTHONPATH'])", cwd=tmp_path)
    paths = f"{root}:{tmp_path}/mine:{tmp_path}:/other"
    assert done.stdout == f"{tmp_path} True\n{paths}\n"


def test_deleted_working_directory_is_refused(tmp_path):
    gone = tmp_path / "gone"
    code = (
        f"import os, sys; os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); "
        f"os.rmdir({str(gone)!r}); from distrl.cli.main import main; sys.exit(main())"
    )
    for arguments in (["train", "configs/catch.yaml"], ["evaluate", "/no/run"]):
        done = start(code, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("distrl: error: the working directory has been")
        assert done.stderr.count("\n") == 1


def test_child_exit_codes_survive_ignored_sigchld():
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])\n"
    )
    inner = _SETTLE + (
        "child = os.fork()\n"
        "child or os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = start(code, inner)
    assert done.stdout == "3\n", done.stderr
