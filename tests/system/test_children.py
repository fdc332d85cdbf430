"""Child processes: search path, environment and death with the parent."""

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
    make_child_command,
    make_command,
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


def test_child_dies_with_killed_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHANING], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert child.wait(timeout=10) is None or not child.is_running()


# Without those that the interpreter itself needs to start.
_SHADOWED = ("uuid", "random", "token", "logging", "tempfile", "typing", "signal")


@pytest.fixture
def shadows(tmp_path, monkeypatch):
    """A working directory whose files shadow standard modules."""
    for name in _SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError({name!r})\n")
    (tmp_path / "mine.py").write_text("WHERE = __file__\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize("here", ["", "{}"])
def test_child_imports_standard_library_first(shadows, monkeypatch, here):
    monkeypatch.syspath_prepend(here.format(shadows))
    modules = f"import sys, {', '.join(_SHADOWED)}; import os; os.chdir('/')"
    code = f"{modules}; import mine; print(mine.WHERE, *sys.argv[1:])"
    done = run(make_command(code, "an argument"))
    assert done.stdout == f"{shadows}/mine.py an argument\n", done.stderr


def test_non_utf_8_path_is_passed_to_child():
    odd = os.fsdecode(b"/no\xff/\xc3\xa9'\"")
    done = run(make_command("print(ascii(sys.path[0]))", path=[odd, *sys.path]))
    assert done.stdout == f"{ascii(odd)}\n", done.stderr


@pytest.mark.usefixtures("shadows")
@pytest.mark.parametrize("paths", ["", "."])
def test_command_works_in_directory_shadowing_standard_modules(paths):
    environment = {**os.environ, "PYTHONPATH": paths}
    done = run([sys.executable, "-m", "distrl", "--version"], env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"distrl {distrl.__version__}\n"


def test_child_runs_main_of_module_without_proxy(tmp_path, monkeypatch):
    (tmp_path / "show.py").write_text(
        "import os\ndef main(): print(os.environ['no_grpc_proxy']); return 3\n"
    )
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    done = run(make_child_command("show", path=[str(tmp_path), *sys.path]))
    assert (done.returncode, done.stdout) == (3, "localhost,127.0.0.1\n")


def test_child_exits_if_parent_has_ended():
    command = make_child_command("distrl.cli.main", "--version")
    # The shell's child has another parent than this process.
    done = run(["sh", "-c", '"$@"; exit $?', "sh", *command])
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"no_proxy": ",a.com, b.com,,a.com"}, "a.com,b.com,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "c", "no_proxy": "a"}, "c,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "", "no_proxy": "a"}, "a,localhost,127.0.0.1"),
    ],
)
def test_proxies_are_bypassed_and_user_settings_kept(monkeypatch, given, expected):
    for name in ("no_grpc_proxy", "no_proxy"):
        # Makes monkeypatch also undo what `bypass_proxies` sets.
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
