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


def test_answer_is_on_stdout_and_progress_on_stderr(config, capfd):
    assert main(["evaluate", config.run_dir, "--episodes", "3", "--seed=9"]) == 0
    out, err = capfd.readouterr()
    first, second, *rest = out.splitlines()
    assert first.startswith("best checkpoint of learner step 20 (")
    assert second.startswith(f"3 episodes of {config.environment}, epsilon 0, seed 9, ")
    assert rest == [
        "return  mean 6, 95 % confidence interval 6 to 6 (Student t)",
        "        standard deviation 0, min 6, max 6",
        "length  mean 3, min 3, max 3",
    ]
    assert "playing 3 episodes of the best checkpoint" in err


def test_json_answer_follows_all_flags(config, capfd):
    save_latest(config, prefer(1), 30)
    flags = ["--episodes=1", "--checkpoint", "latest", "--epsilon", "0", "--seed=9"]
    flags += ["--max_episode_steps=2"]
    assert main(["evaluate", "--json", config.run_dir, *flags]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["checkpoint"], answer["learner_steps"]) == ("latest", 30)
    assert (answer["returns"], answer["interval"]) == ([2.0], None)
    assert (answer["truncated_episodes"], answer["max_episode_steps"]) == (1, 2)
    assert (answer["epsilon"], answer["seed"]) == (0.0, 9)
    video = {"file": "a.gif", "episode_return": 1.0, "length": 1200, "truncated": True}
    *_, mean, _, _, truncated, last = evaluate.format_answer(
        {**answer, "video": video}
    ).splitlines()
    assert mean == "return  mean 2, no confidence interval (one episode)"
    assert "1 truncated at 2 steps, counted with their return so far" in truncated
    assert last == "video   a.gif: an episode of return 1, 1,200 steps, truncated"


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
