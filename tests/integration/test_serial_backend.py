"""`--launch.backend serial` by the real command: determinism, and how it ends."""

import signal
import time

from integration.commands import ENDLESS, read_rows, train

SERIAL = "--launch.backend=serial"


def test_two_runs_of_a_seed_are_the_same(tmp_path):
    results, losses = [], []
    for name in ("first", "second"):
        flags = [SERIAL, "--stop.env_steps=5000"]
        with train(tmp_path / name, *flags) as command:
            assert command.finish(timeout=240) == 0, command.stderr
        result = {**command.result, "run_dir": None, "wall_seconds": None}
        results.append(result)
        rows = read_rows(tmp_path / name, "learner")
        losses.append([(row["learner_steps"], row["loss"]) for row in rows])
    assert results[0] == results[1]
    assert losses[0] == losses[1] != []
    assert list(command.nodes) == ["serial"]


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
    assert command.result["reason"] == "Ctrl-C"
    assert command.result["learner_steps"] > 0
    assert "Traceback" not in command.stderr


def test_an_environment_that_fails_ends_it_with_the_traceback(tmp_path):
    flags = [*ENDLESS, "--environment=broken_environments:fail"]
    with train(tmp_path / "run", SERIAL, *flags) as command:
        assert command.finish(timeout=180) == 1
    assert command.result["error"]["node"] == "serial"
    assert "the paddle fell off" in command.result["error"]["traceback"]
    assert "ValueError: the paddle fell off" in command.stderr.splitlines()[-1]
