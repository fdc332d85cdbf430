"""Every end of a run is reported and leaves no process."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import psutil
import pytest
from integration.commands import BACKEND, CATCH, ENDLESS, read_rows, train

# Each of its nodes imports for itself, which takes 15 s.
_LAUNCHPAD = pytest.param("launchpad", marks=pytest.mark.slow)


def interrupt(command, number=signal.SIGINT, seconds=10):
    """Signals a command and checks that it ends in time and leaves no process."""
    asked = time.monotonic()
    command.process.send_signal(number)
    assert command.finish() == 128 + number
    assert time.monotonic() - asked < seconds
    command.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_signal_stops_training_run(tmp_path, number, reason):
    with train(tmp_path / "run", *ENDLESS) as command:
        command.await_line("training")
        interrupt(command, number)
    assert (command.result["status"], command.result["reason"]) == ("stopped", reason)
    assert "Traceback" not in command.stderr


_IN_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("distrl", run_name="__main__", alter_sys=True)
"""


def test_closed_terminal_stops_run_after_last_checkpoint(tmp_path):
    run_dir = tmp_path / "run"
    terminal, near = pty.openpty()
    arguments = ["train", str(CATCH), f"--run_dir={run_dir}", *BACKEND, *ENDLESS]
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_TERMINAL, *arguments],
        stdin=near,
        stdout=near,
        stderr=near,
        start_new_session=True,
    )
    os.close(near)
    try:
        shown = b""
        while b"training" not in shown:
            shown = (shown + os.read(terminal, 65_536))[-65_536:]
        os.close(terminal)
        assert process.wait(60) == 129
    finally:
        process.kill()
        process.wait()
    result = json.loads((run_dir / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("stopped", "SIGHUP")
    assert list((run_dir / "checkpoints").glob("[0-9]*"))


def test_ctrl_c_stops_run_during_imports(tmp_path):
    with train(tmp_path / "run", *ENDLESS) as command:
        command.await_line("importing")
        # Proves that `left_running` finds a command that runs.
        assert psutil.Process(command.process.pid) in command.left_running()
        interrupt(command)
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("backend", ["processes", "threads", _LAUNCHPAD])
def test_node_ignoring_stop_is_killed_within_ten_seconds(tmp_path, backend):
    flags = [*ENDLESS, "--environment=broken_environments:stick"]
    run_dir = tmp_path / "run"
    with train(run_dir, *flags, f"--launch.backend={backend}") as command:
        command.await_line("filling replay")
        logs = [run_dir / "logs" / "actor" / "0.log", run_dir / "logs" / "launcher.log"]
        command.await_value(
            lambda: any(log.exists() and "stuck" in log.read_text() for log in logs)
        )
        interrupt(command)
    assert command.result["status"] == "stopped"


@pytest.mark.parametrize("backend", ["processes", "serial", "threads", _LAUNCHPAD])
def test_run_stops_when_environment_catches_signals(tmp_path, backend):
    flags = [*ENDLESS, "--environment=broken_environments:deafen"]
    run_dir = tmp_path / "run"
    with train(run_dir, *flags, f"--launch.backend={backend}") as command:
        command.await_line("training")
        interrupt(command, signal.SIGTERM, seconds=60)
    assert {node["state"] for node in command.nodes.values()} == {"ended"}
    # No node was killed, so the last checkpoint was saved.
    assert list((run_dir / "checkpoints").glob("[0-9]*"))


def test_terminated_node_is_restarted(tmp_path):
    flags = ["--launch.backend=serial", *ENDLESS]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        os.kill(command.pid_of("serial"), signal.SIGTERM)
        command.await_line("serial was killed by SIGTERM; restarted (1)")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
    assert command.result["restarts"] == {"serial": 1}


@pytest.mark.parametrize("backend", ["processes", "serial", "threads", "launchpad"])
def test_failing_node_ends_run_with_its_traceback(tmp_path, backend):
    flags = [*ENDLESS, "--environment=broken_environments:fail"]
    with train(tmp_path / "run", *flags, f"--launch.backend={backend}") as command:
        assert command.finish(timeout=180) == 1
        command.assert_nothing_is_left()
    assert command.result["status"] == "failed"
    assert command.result["error"]["node"] in ("actor/0", "actor/1", "serial")
    assert "the paddle fell off" in command.result["error"]["traceback"]
    tail = command.stderr.splitlines()[-1]
    assert "ValueError: the paddle fell off" in tail
    assert command.result["error"]["node"] in command.stderr


@pytest.mark.parametrize(
    ("backend", "isolate"),
    [("processes", "true"), ("processes", "false"), ("threads", "true")]
    + [("serial", "true")]
    + [pytest.param("launchpad", "true", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("victim", ["front", "host"])
def test_killed_front_or_host_leaves_no_process(tmp_path, backend, isolate, victim):
    flags = [*ENDLESS, "--environment=broken_environments:spawn"]
    flags += [f"--launch.backend={backend}", f"--launch.isolate={isolate}"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        pid = command.process.pid if victim == "front" else command.host_pid()
        assert len(command.left_running()) > 2 - (backend in ("serial", "threads"))
        os.kill(pid, signal.SIGKILL)
        code = command.finish()
        command.assert_nothing_is_left(seconds=10)
    if victim == "front":
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        assert "SIGKILL" in command.result["error"]["traceback"]


NEVER_ENDS = [
    *ENDLESS,
    "--environment=broken_environments:never_end",
    "--evaluation.episodes=4",
    "--evaluation.environments=2",
]


@pytest.mark.parametrize("backend", ["serial", "processes"])
def test_endless_evaluation_episodes_are_truncated_and_reported(tmp_path, backend):
    flags = ["--evaluation.max_episode_steps=20", "--stop.evaluation_return=20"]
    flags += ["--stop.seconds=60", f"--launch.backend={backend}"]
    with train(tmp_path / "run", *NEVER_ENDS, *flags) as command:
        assert command.finish() == 0
    # Every step pays 1.
    assert command.result["reason"] == "evaluation_return 20 reached 20"
    assert command.result["evaluation_truncated"] == 4
    assert read_rows(tmp_path / "run", "evaluator")[0]["truncated_episodes"] == "4"


def test_ctrl_c_stops_endless_evaluation_without_reporting_it(tmp_path):
    # The serial backend evaluates in the loop that acts and learns.
    flags = ["--launch.backend=serial", "--evaluation.max_episode_steps=null"]
    flags += ["--evaluation.period=10"]
    with train(tmp_path / "run", *NEVER_ENDS, *flags) as command:
        command.await_line("training")
        interrupt(command)
    assert command.result["evaluation_return"] is None
    assert command.result["evaluation_truncated"] is None
    assert not (tmp_path / "run" / "best").exists()


@pytest.mark.distributed
def test_paused_run_continues(tmp_path):
    flags = [*ENDLESS, "--launch.silent_seconds=4", "--launch.report_seconds=0.1"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        node = psutil.Process(command.pid_of("learner"))
        command.process.send_signal(signal.SIGSTOP)
        command.await_value(lambda: node.status() == psutil.STATUS_STOPPED)
        paused = time.monotonic()
        command.await_value(lambda: time.monotonic() - paused > 8)
        command.process.send_signal(signal.SIGCONT)
        command.await_value(lambda: node.status() != psutil.STATUS_STOPPED)
        command.await_line("env_steps")
        interrupt(command, signal.SIGTERM, seconds=60)
    # No node was killed as silent.
    assert command.result["restarts"] == {}


@pytest.mark.distributed
def test_second_ctrl_c_ends_run_at_once(tmp_path):
    flags = [*ENDLESS, "--launch.stop_seconds=60"]
    flags += ["--environment=broken_environments:stick"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("filling replay")
        log = tmp_path / "run" / "logs" / "actor" / "0.log"
        command.await_value(lambda: "stuck" in log.read_text(), seconds=60)
        command.process.send_signal(signal.SIGINT)
        command.await_line("stopping")
        interrupt(command)


@pytest.mark.distributed
def test_exposed_nodes_share_network_and_are_noted(tmp_path):
    with train(tmp_path / "run", *ENDLESS, "--launch.isolate=false") as command:
        command.await_line("training")
        theirs = os.readlink(f"/proc/{command.pid_of('learner')}/ns/net")
        interrupt(command)
    assert theirs == os.readlink("/proc/self/ns/net")
    assert "not isolated (launch.isolate is off)" in command.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [("broken_environments:refuse", "no license file"), ("bsuite:cacth/0", "catch")],
)
def test_unusable_environment_is_refused_before_start(tmp_path, environment, words):
    with train(tmp_path / "run", f"--environment={environment}") as command:
        assert command.finish() == 2
        command.assert_nothing_is_left()
    (line,) = [line for line in command.stderr.splitlines() if "error:" in line]
    assert words in line
    assert "Traceback" not in command.stderr
    assert not (tmp_path / "run").exists()
