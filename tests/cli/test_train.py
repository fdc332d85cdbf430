"""The commands `distrl train` and `distrl resume`."""

import json
from pathlib import Path

import pytest

from distrl.cli.main import main
from distrl.cli.train import format_summary
from distrl.config import Config, config_to_yaml, load_config, load_run
from distrl.errors import ConfigError
from distrl.launch import Outcome

CATCH = str(Path(__file__).parents[2] / "configs" / "catch.yaml")
RESULT = {
    "run_dir": "/somewhere/runs/catch-1",
    "status": "done",
    "reason": "evaluation_return 0.96 reached 0.95",
    "env_steps": 12345,
    "learner_steps": 3100,
    "evaluation_return": 0.96,
    "evaluation_truncated": 0,
    "best_return": 0.97,
    "wall_seconds": 21.34,
    "error": None,
}


class Launch:
    """Records calls of `distrl.launch.run`, and starts nothing."""

    outcome: Outcome | ConfigError = Outcome(0, RESULT)

    def __init__(self):
        self.calls = []

    def __call__(self, config, *, program, resume):
        self.calls.append((config, resume))
        print("noise on stdout")
        if isinstance(self.outcome, ConfigError):
            raise self.outcome
        return self.outcome


@pytest.fixture
def launch(monkeypatch, tmp_path):
    stand_in = Launch()
    monkeypatch.setattr("distrl.launch.run", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "config.yaml").write_text(config_to_yaml(Config(seed=3)))
    return str(tmp_path)


def test_train_takes_a_file_and_flags(launch):
    assert main(["train", "--seed", "7", "--stop.env_steps=null", CATCH]) == 0
    expected = load_config(CATCH, {"seed": 7, "stop.env_steps": None})
    assert launch.calls == [(expected, False)]


def test_resume_takes_a_run_directory_and_flags(launch, run_dir):
    assert main(["resume", "--stop.env_steps", "900", run_dir]) == 0
    expected = load_run(run_dir, {"stop.env_steps": 900})
    assert (expected.seed, expected.stop.env_steps) == (3, 900)
    assert launch.calls == [(expected, True)]


def test_answer_is_on_stdout_and_other_output_on_stderr(launch, capfd):
    assert main(["train", CATCH]) == 0
    out, err = capfd.readouterr()
    assert out == (
        "done (evaluation_return 0.96 reached 0.95): return 0.96, best 0.97, "
        "12,345 env_steps, 3,100 learner_steps, 21.3 s\n"
    )
    assert "noise on stdout" in err
    launch.outcome = Outcome(130, RESULT)
    assert main(["train", CATCH, "--json"]) == 130
    assert json.loads(capfd.readouterr().out) == RESULT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluation_return": None, "best_return": None}, "return none, best none, "),
        ({"evaluation_return": 0.0}, "return 0, "),
        (
            {"evaluation_return": -7.0, "evaluation_truncated": 1_200},
            "return -7 (1,200 episodes truncated), best",
        ),
        ({"evaluation_truncated": None}, "return 0.96, "),
        ({"run_dir": "."}, "21.3 s, ."),
    ],
)
def test_summary_shows_returns_and_the_run_directory(changes, words):
    assert words in format_summary({**RESULT, **changes})


def test_failure_of_a_node_is_printed_last(launch, tmp_path, capfd):
    error = {"node": "actor/0", "traceback": "Traceback ...\nValueError: bad\n"}
    result = {**RESULT, "run_dir": str(tmp_path), "status": "failed", "error": error}
    launch.outcome = Outcome(1, result)
    assert main(["train", CATCH, "--json"]) == 1
    err = capfd.readouterr().err
    assert err.endswith("distrl: actor/0 failed:\nTraceback ...\nValueError: bad\n")
    (tmp_path / "logs" / "actor").mkdir(parents=True)
    (tmp_path / "logs" / "actor" / "0.log").write_text("")
    assert main(["train", CATCH]) == 1
    assert "actor/0 failed (more in ./logs/actor/0.log):" in capfd.readouterr().err


def test_launch_refusal_is_reported_as_bad_usage(launch, capfd):
    launch.outcome = ConfigError("environment = 'bsuite:cach/0': there is none")
    assert main(["train", CATCH]) == 2
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == f"distrl: error: {launch.outcome}"
    assert out == ""


# The rules of the fields are tested in tests/config.
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", "CONFIG"),
        ("train run.yml", "there is no configuration file run.yml"),
        ("train {CATCH} --seed", "--seed needs a value"),
        ("train {CATCH} -seed 3", "distrl train has no argument '-seed'"),
        ("train {CATCH} other.yaml", "has no argument 'other.yaml'"),
        ("train {CATCH} --replay.error_buffer 100", "replay.error_buffer = 100"),
        ("train {CATCH} --replay.kind prioritised", "Did you mean 'prioritized'?"),
        ("train {CATCH} --network.args {{a:", "--network.args = '{a:'"),
        ("resume", "RUN_DIR"),
        ("resume {run_dir} b", "has no argument 'b'"),
        ("resume {run_dir}/no", "/no does not exist"),
        ("resume {run_dir} --network.factory conv", "network.factory = 'conv'"),
        ("resume {run_dir} --stop.env_step 1", "Did you mean"),
        ("resume {run_dir} --run_dir x", "run_dir = 'x'"),
        ("resume {run_dir} --jsn", "--jsn"),
    ],
)
def test_bad_usage_is_refused_in_one_line(command, words, run_dir, launch, capfd):
    code = main(command.format(CATCH=CATCH, run_dir=run_dir).split())
    out, err = capfd.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("distrl: error: ")
    assert words in err
    assert launch.calls == []
