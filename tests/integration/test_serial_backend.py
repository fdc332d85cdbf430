"""`--launch.backend serial` by the real command: its result and all its endings."""

import csv
import json
import signal
import time

from integration.commands import train

SERIAL = "--launch.backend=serial"
ENDLESS = ["--stop.evaluation_return=null", "--stop.env_steps=null"]


def test_it_solves_catch_and_a_second_run_ends_the_same(tmp_path):
    results, rows = [], []
    for name in ("first", "second"):
        run_dir = tmp_path / name
        with train(run_dir, SERIAL) as command:
            assert command.finish(timeout=240) == 0, command.stderr
            command.assert_nothing_is_left()
        result = command.result
        assert result == json.loads(command.stdout)
        assert result["status"] == "done"
        assert result["reason"].startswith("evaluation_return")
        assert result["evaluation_return"] >= 0.95
        assert result["best_return"] >= result["evaluation_return"]
        assert 0 < result["env_steps"] <= 50_000
        assert result["error"] is None
        assert result["restarts"] == {}
        results.append({**result, "run_dir": None, "wall_seconds": None})
        program = json.loads((run_dir / "program.json").read_text())
        assert [(n["name"], n["state"]) for n in program["nodes"]] == [
            ("serial", "ended")
        ]
        assert (run_dir / "logs" / "serial.log").exists()
        for node in ("actor/0", "coordinator", "evaluator", "learner"):
            assert list((run_dir / "tensorboard" / node).glob("events*"))
        with open(run_dir / "metrics" / "learner.csv", newline="") as file:
            learned = list(csv.DictReader(file))
        rows.append([(row["learner_steps"], row["loss"]) for row in learned])
    assert results[0] == results[1]
    assert rows[0] == rows[1]
    assert rows[0]


def test_the_default_network_solves_a_problem_of_discrete_states(tmp_path):
    flags = [
        SERIAL,
        "--environment=gym:FrozenLake-v1?is_slippery=false",
        "--actor.exploration.epsilon=0.2",
        "--stop.evaluation_return=1",
    ]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=240) == 0, command.stderr
    # Where the state is one number, nothing is learned in 490,000 steps.
    assert command.result["reason"].startswith("evaluation_return")
    assert command.result["env_steps"] < 50_000


def test_ctrl_c_ends_it(tmp_path):
    with train(tmp_path / "run", SERIAL, *ENDLESS) as command:
        command.await_line("training")
        asked = time.monotonic()
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
        assert time.monotonic() - asked < 10
        command.assert_nothing_is_left()
    assert command.result["status"] == "stopped"
    assert command.result["reason"] == "Ctrl-C"
    assert command.result["learner_steps"] > 0
    assert "Traceback" not in command.stderr


def test_an_environment_that_fails_ends_it_with_the_traceback(tmp_path):
    flags = [*ENDLESS, "--environment=broken_environments:fail"]
    with train(tmp_path / "run", SERIAL, *flags) as command:
        assert command.finish(timeout=180) == 1
        command.assert_nothing_is_left()
    assert command.result["status"] == "failed"
    assert command.result["error"]["node"] == "serial"
    assert "the paddle fell off" in command.result["error"]["traceback"]
    assert "ValueError: the paddle fell off" in command.stderr.splitlines()[-1]
    log = (tmp_path / "run" / "logs" / "serial.log").read_text()
    assert "the paddle fell off" in log
