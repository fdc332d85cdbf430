"""Children find what their parent finds, die with it, and their ends have names."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

import distrl
from distrl.system.children import (
    NO_PROXY,
    bypass_proxies,
    join_hosts,
    make_child_command,
    make_command,
    name_signal,
)

_ORPHANING = """
import os, sys
from distrl.system.children import die_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    die_with_parent(parent)
    print(os.getpid(), flush=True)
    import signal
    while True:
        signal.pause()
os.wait()
"""


def test_a_child_dies_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHANING], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert child.wait(timeout=10) is None or not child.is_running()


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 3, "signal 37")],
)
def test_a_signal_has_a_name(number, name):
    assert name_signal(number) == name


# Not those that the interpreter itself needs to start.
_SHADOWED = ("uuid", "random", "token", "logging", "tempfile", "typing", "signal")


@pytest.fixture
def shadows(tmp_path, monkeypatch):
    """A working directory whose files have the names of standard modules."""
    for name in _SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError({name!r})\n")
    (tmp_path / "mine.py").write_text("WHERE = __file__\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize("here", ["", "{}"])
def test_a_fresh_interpreter_finds_the_standard_library_first(
    shadows, monkeypatch, here
):
    monkeypatch.syspath_prepend(here.format(shadows))
    code = f"import sys, mine, {', '.join(_SHADOWED)}; print(mine.WHERE, *sys.argv[1:])"
    done = run(make_command(code, "an argument"))
    assert done.stdout == f"{shadows}/mine.py an argument\n", done.stderr


def test_modules_are_found_after_the_working_directory_was_changed(shadows):
    code = "import os; os.chdir('/'); import mine; print(mine.WHERE)"
    done = run(make_command(code, path=["", *sys.path]))
    assert done.stdout == f"{shadows}/mine.py\n", done.stderr


def test_a_path_that_is_not_utf_8_is_passed_on():
    odd = os.fsdecode(b"/no\xff/\xc3\xa9'\"")
    done = run(make_command("print(ascii(sys.path[0]))", path=[odd, *sys.path]))
    assert done.stdout == f"{ascii(odd)}\n", done.stderr


@pytest.mark.parametrize(
    "start",
    [["-m", "distrl"], ["-c", "from distrl.cli.main import main; main()"]],
)
@pytest.mark.parametrize("paths", ["", "."])
def test_the_command_works_in_a_directory_with_such_files(shadows, start, paths):
    environment = {**os.environ, "PYTHONPATH": paths}
    done = run([sys.executable, *start, "--version"], env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"distrl {distrl.__version__}\n"


def test_a_child_runs_the_main_of_a_module():
    done = run(make_child_command("distrl.cli.main", "--version"))
    assert (done.returncode, done.stdout) == (0, f"distrl {distrl.__version__}\n")
    assert run(make_child_command("distrl.cli.main", "trian")).returncode == 2


def test_a_child_calls_nodes_without_a_proxy(tmp_path, monkeypatch):
    (tmp_path / "show.py").write_text(
        "import os\ndef main(): print(os.environ['no_grpc_proxy'])\n"
    )
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    command = make_child_command("show", path=[str(tmp_path), *sys.path])
    assert run(command).stdout == "localhost,127.0.0.1\n"


def test_a_child_does_nothing_for_a_parent_that_has_ended():
    command = make_child_command("distrl.cli.main", "--version")
    # The shell's child has another parent than this process.
    done = run(["sh", "-c", '"$@"; exit $?', "sh", *command])
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"no_proxy": "a.com, b.com"}, "a.com,b.com,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "c", "no_proxy": "a"}, "c,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "", "no_proxy": "a"}, "a,localhost,127.0.0.1"),
    ],
)
def test_nodes_are_called_directly_and_what_the_user_set_stays(
    monkeypatch, given, expected
):
    for name in ("no_grpc_proxy", "no_proxy"):
        # What `bypass_proxies` sets is undone, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    bypass_proxies()
    assert os.environ[NO_PROXY] == expected
    assert os.environ.get("no_proxy") == given.get("no_proxy")
    for _ in range(2):
        bypass_proxies(["10.0.0.2:4001", "10.0.0.2:4002", "10.0.0.3:4001"])
    assert os.environ[NO_PROXY] == f"{expected},10.0.0.2,10.0.0.3"


def test_empty_entries_are_left_out():
    assert join_hosts(",a,, b ,", ["a", "", "c"]) == "a,b,c"
