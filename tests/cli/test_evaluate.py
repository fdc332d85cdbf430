"""The command `distrl evaluate`."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation.saved_runs import (
    ACTIONS,
    prefer,
    save_as_best,
    save_latest,
    write_config,
)

from distrl.cli import evaluate
from distrl.cli.main import main

ANSWER = {
    "run_dir": "runs/catch-1",
    "checkpoint": "best",
    "checkpoint_path": "runs/catch-1/best/1616",
    "learner_steps": 1616,
    "environment": "bsuite:catch/0",
    "epsilon": 0.05,
    "seed": 7,
    "max_episode_steps": 10_000,
    "episodes": 1000,
    "truncated_episodes": 0,
    "mean_return": 0.98765,
    "std_return": 0.25,
    "min_return": -1.0,
    "max_return": 1.0,
    "confidence": 0.95,
    "interval": [0.97, 1.0],
    "interval_method": "Student t",
    "mean_length": 9.0,
    "min_length": 9,
    "max_length": 1234,
    "returns": [],
    "lengths": [],
    "seconds": 3.21,
    "video": None,
}


@pytest.fixture(autouse=True)
def jax_platforms(monkeypatch):
    """Restores the variables that the command sets."""
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def config(tmp_path):
    config = write_config(tmp_path / "run", ACTIONS)
    save_as_best(config, prefer(2), 20)
    return config


def test_answer_is_formatted_as_text():
    assert evaluate.format_answer(ANSWER) == (
        "best checkpoint of learner step 1,616 (runs/catch-1/best/1616)\n"
        "1,000 episodes of bsuite:catch/0, epsilon 0.05, seed 7, 3.2 s\n"
        "return  mean 0.9877, 95 % confidence interval 0.97 to 1 (Student t)\n"
        "        standard deviation 0.25, min -1, max 1\n"
        "length  mean 9, min 9, max 1,234"
    )


def test_answer_shows_missing_interval_truncation_and_video():
    video = {"file": "a.gif", "episode_return": 1.0, "length": 1200, "truncated": True}
    changes = {"interval": None, "truncated_episodes": 2, "video": video}
    text = evaluate.format_answer({**ANSWER, **changes})
    assert "mean 0.9877, no confidence interval (one episode)\n" in text
    assert "\n        2 truncated at 10,000 steps, counted with" in text
    last = "\nvideo   a.gif: an episode of return 1, 1,200 steps, truncated"
    assert text.endswith(last)


def test_answer_is_on_stdout_and_progress_on_stderr(config, capfd):
    assert main(["evaluate", config.run_dir, "--episodes", "3"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("best checkpoint of learner step 20 (")
    assert "\nreturn  mean 6, 95 % confidence interval 6 to 6 (Student t)\n" in out
    assert "playing 3 episodes of the best checkpoint" in err


def test_json_answer_follows_all_flags(config, capfd):
    save_latest(config, prefer(1), 30)
    flags = ["--episodes=5", "--checkpoint", "latest", "--epsilon", "0", "--seed=9"]
    flags += ["--max_episode_steps=2"]
    assert main(["evaluate", "--json", config.run_dir, *flags]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert set(answer) == set(ANSWER)
    assert (answer["checkpoint"], answer["learner_steps"]) == ("latest", 30)
    assert answer["returns"] == [2.0] * 5
    assert (answer["truncated_episodes"], answer["max_episode_steps"]) == (5, 2)
    assert (answer["epsilon"], answer["seed"]) == (0.0, 9)


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=str)
def test_endless_episodes_show_progress_until_ctrl_c(tmp_path, flags):
    values = {
        **ACTIONS,
        "environment": f"counting_environments:Rewarding?length={10**9}",
        "evaluation.max_episode_steps": None,
    }
    config = write_config(tmp_path / "run", values)
    save_as_best(config, prefer(2), 20)
    with subprocess.Popen(
        [sys.executable, "-m", "distrl", "evaluate", config.run_dir, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    ) as command:
        seen = next(line for line in command.stderr if "0 of 8 episodes ended" in line)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
    assert re.search(r"[1-9][\d,]* steps in each environment$", seen)
    assert command.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "distrl: stopped by Ctrl-C"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("factory", "code", "words"),
    [
        ("make_breaking", 1, "distrl: error: environment 0 returned the reward None"),
        ("make_exiting", 2, "make_exiting: the check called sys.exit(0)"),
    ],
)
def test_faulty_environment_is_reported(factory, code, words, config, tmp_path, capfd):
    environment = f"cli.test_evaluate:{factory}"
    write_config(tmp_path / "run", {**ACTIONS, "environment": environment})
    assert main(["evaluate", config.run_dir]) == code
    assert words in capfd.readouterr().err.splitlines()[-1]


def make_breaking():
    from counting_environments import Rewarding

    class Breaking(Rewarding):
        def reward(self, action):
            # The first step is already checked when the spec is read.
            return None if self.taken > 1 else 1.0

    return Breaking()


def make_exiting():
    sys.exit(0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "RUN_DIR"),
        (["{run}/no"], "/no does not exist"),
        (["{run}/best"], "best is not the directory of a run"),
        (["{run}", "--max_episode_steps=0"], "--max_episode_steps = '0'"),
        (["{run}", "--checkpoint", "lates"], "choose from 'best', 'latest'"),
        (["{run}", "--checkpoint", "latest"], "has no whole checkpoint yet"),
        (["{run}", "--video", "a.avi"], "a.avi: the file has to end in"),
    ],
)
def test_bad_usage_is_reported_in_one_line(config, arguments, words, capfd):
    arguments = [each.format(run=config.run_dir) for each in arguments]
    assert main(["evaluate", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("distrl: error: ")
    assert words in err
