"""Training runs with environments in separate processes."""

import os
import re
import signal

import psutil
import pytest
from integration.commands import train

PROCESSES = ["--actor.environment_processes=2", "--evaluation.environment_processes=1"]
ENDLESS = ["--stop.evaluation_return=null", "--stop.env_steps=null"]


def find_workers(pid):
    """Returns the environment processes of a node."""
    children = psutil.Process(pid).children()
    return [
        p for p in children if "distrl.environments.worker_processes" in p.cmdline()
    ]


def check_solved(command):
    assert command.finish(timeout=480) == 0, command.stderr
    command.assert_nothing_is_left()
    result = command.result
    assert (result["status"], result["error"]) == ("done", None)
    assert result["evaluation_return"] >= 0.95
    assert result["restarts"] == {}


@pytest.mark.distributed
def test_catch_is_solved_with_environment_processes(tmp_path):
    with train(tmp_path / "run", *PROCESSES) as command:
        command.await_line("training")
        for node, count in {"actor/0": 2, "actor/1": 2, "evaluator": 1}.items():
            pid = command.pid_of(node)
            workers = find_workers(pid)
            assert len(workers) == count
            # They are killed with the node's group and share its isolation.
            assert {os.getpgid(worker.pid) for worker in workers} == {pid}
            network = os.readlink(f"/proc/{pid}/ns/net")
            for worker in workers:
                assert os.readlink(f"/proc/{worker.pid}/ns/net") == network
        check_solved(command)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threads", "launchpad", "serial"])
def test_other_backends_solve_catch_with_environment_processes(tmp_path, backend):
    flags = [*PROCESSES, f"--launch.backend={backend}"]
    with train(tmp_path / "run", *flags) as command:
        check_solved(command)


@pytest.mark.distributed
@pytest.mark.slow
def test_killed_actor_restarts_and_leaves_no_environment_processes(tmp_path):
    with train(tmp_path / "run", *PROCESSES, *ENDLESS) as command:
        command.await_line("training")
        pid = command.pid_of("actor/1")
        workers = find_workers(pid)
        assert len(workers) == 2
        os.kill(pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert not alive
        command.await_line("actor/1 was killed by SIGKILL; restarted (1)")
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 143
        command.assert_nothing_is_left()


def test_environment_crash_ends_run_with_one_message(tmp_path):
    flags = [*PROCESSES, *ENDLESS, "--environment=broken_environments:crash"]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=180) == 1
        command.assert_nothing_is_left()
    error = command.result["error"]
    assert re.fullmatch("actor/[01]|evaluator|serial", error["node"])
    message = command.stderr.splitlines()[-1]
    whose = r"EnvironmentFault: the process of environments \d+ to \d+ was killed"
    assert re.search(f"{whose} by SIGSEGV", message)
    # The node's log shows where it crashed.
    log = (tmp_path / "run" / "logs" / f"{error['node']}.log").read_text()
    assert "Segmentation fault" in log
    assert "broken_environments.py" in log


@pytest.mark.slow
def test_hanging_environment_process_ends_run_with_traceback(tmp_path):
    flags = [*PROCESSES, *ENDLESS, "--environment=broken_environments:stick"]
    flags += ["--launch.silent_seconds=5", "--launch.restart=never"]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=240) == 1
        command.assert_nothing_is_left()
    error = command.result["error"]["traceback"]
    assert "main thread did not get on for 5 s" in error
    # The traceback shows where it hangs.
    assert "in _step" in error
