"""Complete training runs on every backend."""

import json
import signal
import time

import pytest
from integration.commands import ENDLESS, read_rows, train

BACKENDS = ["processes", "threads", "launchpad", "ray", "serial"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_solves_catch(tmp_path, backend):
    run_dir = tmp_path / "run"
    with train(run_dir, f"--launch.backend={backend}") as command:
        assert command.finish(timeout=240) == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    assert result == json.loads(command.stdout)
    assert result["status"] == "done"
    assert result["reason"].startswith("evaluation_return")
    assert result["evaluation_return"] >= 0.95
    assert result["best_return"] >= result["evaluation_return"]
    assert 0 < result["env_steps"] <= 50_000
    assert result["learner_steps"] > 0
    assert result["episodes"] > 0
    assert result["error"] is None
    assert result["restarts"] == {}
    assert result["run_dir"] == str(run_dir)
    for node in ("actor/0", "coordinator", "evaluator", "learner"):
        assert read_rows(run_dir, node), node
        assert list((run_dir / "tensorboard" / node).glob("events*"))


@pytest.mark.distributed
def test_run_writes_logs_and_reusable_config(tmp_path):
    run_dir = tmp_path / "run"
    flags = ["--stop.evaluation_return=null", "--stop.env_steps=20000"]
    with train(run_dir, *flags, "--replay.samples_per_insert=8") as command:
        assert command.finish() == 0, command.stderr
    names = {"actor/0", "actor/1", "learner", "replay/0"}
    names |= {"variables", "evaluator", "coordinator"}
    assert set(command.nodes) == names
    for name, node in command.nodes.items():
        assert node["state"] == "ended"
        assert node["pid"] > 1
        assert (run_dir / "logs" / f"{name}.log").exists()
    assert command.result["reason"].startswith("env_steps")
    # Eight samples per insert, apart from the start and the error buffer.
    last = read_rows(run_dir, "coordinator")[-1]
    assert float(last["samples_per_insert"]) == pytest.approx(8, rel=0.35)
    with train(tmp_path / "again", config=run_dir / "config.yaml") as again:
        assert again.finish() == 0, again.stderr
    first = (run_dir / "config.yaml").read_text()
    second = (tmp_path / "again" / "config.yaml").read_text()
    assert first.replace(str(run_dir), "X") == second.replace(
        str(tmp_path / "again"), "X"
    )


@pytest.mark.parametrize("sampled_on", ["learner", "server"])
def test_prioritized_replay_solves_catch(tmp_path, sampled_on):
    flags = ["--replay.kind=prioritized", f"--replay.sampled_on={sampled_on}"]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=240) == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95


def test_default_network_solves_frozen_lake(tmp_path):
    flags = [
        "--launch.backend=serial",
        "--environment=gym:FrozenLake-v1?is_slippery=false",
        "--actor.exploration.epsilon=0.2",
        "--stop.evaluation_return=1",
    ]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=240) == 0, command.stderr
    # With the state as a plain number, nothing is learned in 490,000 env steps.
    assert command.result["reason"].startswith("evaluation_return")
    assert command.result["env_steps"] < 50_000


def test_ctrl_c_stops_serial_backend(tmp_path):
    with train(tmp_path / "run", "--launch.backend=serial", *ENDLESS) as command:
        command.await_line("training")
        asked = time.monotonic()
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
        assert time.monotonic() - asked < 10
        command.assert_nothing_is_left()
    assert command.result["reason"] == "Ctrl-C"
    assert command.result["learner_steps"] > 0
    assert "Traceback" not in command.stderr
