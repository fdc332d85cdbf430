"""The serial backend on a system without the calls that only Linux has.

A stand-in for macOS: every process of a command loads like_macos/sitecustomize.py.
"""

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest
from integration.commands import ENDLESS, resume, train
from marked_processes import assert_all_end
from pythons import run_python

_ROOT = Path(__file__).parents[2]
_HOOKS = _ROOT / "tests" / "like_macos"
_SMALL = (
    "--launch.backend=serial",
    "--actor.environment_processes=1",
    "--replay.min_size=64",
    "--evaluation.environments=2",
    "--evaluation.episodes=2",
)
_FAULTY = """
import itertools
from bsuite.environments.catch import Catch

class Faulty(Catch):
    steps = itertools.count()

    def _step(self, action):
        # Not in the check before the run, which takes a few.
        if next(self.steps) > 500:
            raise ValueError("the paddle fell off, " + "far " * 2_000)
        return super()._step(action)
"""


@pytest.fixture(autouse=True)
def like_macos(tmp_path, monkeypatch):
    """Has every Python that the test starts load the hooks."""
    paths = [str(_HOOKS), str(tmp_path), os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def distrl(*arguments):
    return run_python("-m", "distrl", *arguments, cwd=_ROOT)


def test_run_stops_restarts_and_resumes(tmp_path):
    run_dir = tmp_path / "run"
    with train(run_dir, *_SMALL, *ENDLESS) as command:
        command.await_line("training")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130, command.stderr
        command.assert_nothing_is_left()
    assert "not isolated" not in command.stderr
    steps = command.result["checkpoint"]
    assert steps > command.result["unsaved_learner_steps"] == 0
    with resume(run_dir) as command:
        command.await_line("training")
        os.kill(command.pid_of("serial"), signal.SIGKILL)
        command.await_line("serial was killed by SIGKILL; restarted (1)")
        left = command.left_running()
        assert command.host_pid() in [process.pid for process in left]
        command.process.kill()
        command.process.wait()
        assert_all_end(left, seconds=10)
    with resume(run_dir, f"--stop.learner_steps={steps + 1}") as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["learner_steps"] > steps
    done = distrl("evaluate", str(run_dir), "--episodes=2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["episodes"] == 2


def test_long_error_of_loop_is_reported(tmp_path):
    (tmp_path / "faulty.py").write_text(_FAULTY)
    with train(tmp_path / "run", *_SMALL, "--environment=faulty:Faulty") as command:
        assert command.finish() == 1, command.stderr
        command.assert_nothing_is_left()
    assert command.result["error"]["node"] == "serial"
    assert "the paddle fell off, far far" in command.result["error"]["traceback"]
    # The error itself, not the end of the log, which is quoted when the error is lost.
    assert "The end of" not in command.result["error"]["traceback"]


def test_commands_without_a_run():
    done = distrl("doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = {row["name"]: row for row in json.loads(done.stdout)["findings"]}
    assert found["system"]["found"] == "Darwin arm64"
    assert found["tier"]["found"].startswith("core:")
    assert "the serial backend opens no ports" in found["isolation"]["found"]
    for name in ("cores", "memory", "open files"):
        assert found[name]["state"] in ("ok", "warning")
    done = distrl("check-env", "bsuite:catch/0", "--steps=200")
    assert done.returncode == 0, done.stdout + done.stderr
    done = distrl("list", "agents")
    assert done.returncode == 0, done.stderr
    done = distrl("train", "configs/catch.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "it needs Launchpad and Reverb, which are not installed" in done.stderr


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("os.memfd_create('x')", AttributeError),
        ("os.sched_getaffinity(0)", AttributeError),
        ("os.pidfd_open(1)", AttributeError),
        ("signal.sigtimedwait([], 0)", AttributeError),
        ("resource.prlimit(0, 0)", AttributeError),
        ("resource.getrlimit(10)", ValueError),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (10**5, 10**5))", ValueError),
        ("ctypes.CDLL(None).prctl", AttributeError),
        ("ctypes.CDLL(None).unshare", AttributeError),
        ("socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)", OSError),
        (
            "socket.socketpair(type=socket.SOCK_DGRAM)[0].send(bytes(3000))",
            OSError,
        ),
        ("open('/proc/self/stat')", FileNotFoundError),
        ("os.listdir('/sys')", FileNotFoundError),
        ("pathlib.Path('/proc/meminfo').read_text()", FileNotFoundError),
        ("tempfile.TemporaryFile(dir='/dev/shm')", FileNotFoundError),
    ],
)
def test_hooks_take_the_calls_of_linux_away(line, error):
    code = f"""
    import ctypes, os, pathlib, resource, signal, socket, sys, tempfile
    try:
        exec(compile({line!r}, "/x/distrl/use.py", "exec"))
    except {error.__name__}:
        sys.exit(7)
    """
    assert run_python("-c", textwrap.dedent(code)).returncode == 7
