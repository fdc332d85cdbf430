"""Commands work with closed streams and without a home, but not without a directory."""

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

# What the process says of itself goes to a file, since its streams may be closed.
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


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1", "0 2", "1 2", "0 1 2"])
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path, closed):
    done = start(_LOOK, str(tmp_path / "seen"), closed=closed)
    assert (tmp_path / "seen").read_text() == "True", done.stderr
    assert done.stdout == ("" if "1" in closed else "out")
    assert done.stderr == ("" if "2" in closed else "err")


@pytest.mark.parametrize("closed", ["1", "2", "0 1 2"])
def test_a_command_without_a_stream_keeps_its_exit_code(closed):
    code = "import sys; from distrl.cli.main import main; sys.exit(main())"
    assert start(code, "--version", closed=closed).returncode == 0
    assert start(code, "trian", closed=closed).returncode == 2


_HOME = """
import os
from distrl.system.startup import settle
settle()
print(os.path.expanduser("~"), os.path.isdir(os.path.expanduser("~")))
"""


def without(*names, **values):
    kept = {name: text for name, text in os.environ.items() if name not in names}
    return {**kept, **values}


def test_a_user_without_a_home_gets_one_for_a_while(tmp_path):
    # It is neither in the environment nor, for want of an entry, in passwd.
    code = "import pwd\npwd.getpwuid = {}.__getitem__\n" + _HOME
    done = start(code, env=without("HOME"), cwd=tmp_path)
    home, was_there = done.stdout.split()
    assert (os.path.isabs(home), was_there) == (True, "True")
    assert not os.path.exists(home)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("home", [".", "relative/home"])
def test_a_home_that_depends_on_the_directory_is_replaced(tmp_path, home):
    done = start(_HOME, env=without(HOME=home), cwd=tmp_path)
    found, _ = done.stdout.split()
    assert os.path.isabs(found)
    assert not found.startswith(str(tmp_path))


def test_a_home_that_is_known_stays(tmp_path):
    done = start(_HOME, env=without(HOME=str(tmp_path)))
    assert done.stdout == f"{tmp_path} True\n"


def test_the_search_path_of_later_processes_is_absolute(tmp_path):
    code = "import os\nfrom distrl.system.startup import settle\nsettle()\n"
    code += "print(os.environ['PYTHONPATH'])"
    root = os.path.dirname(os.path.dirname(__file__))
    environment = without(PYTHONPATH=f"{root}:mine::/other")
    done = start(code, env=environment, cwd=tmp_path)
    assert done.stdout == f"{root}:{tmp_path}/mine:{tmp_path}:/other\n"


def test_a_working_directory_that_is_gone_is_refused(tmp_path):
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


def test_ends_of_children_are_told_where_they_were_ignored():
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])\n"
    )
    inner = (
        "import os\n"
        "from distrl.system.startup import settle\n"
        "settle()\n"
        "child = os.fork()\n"
        "child or os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, inner],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "3\n", done.stderr
