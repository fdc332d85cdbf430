"""The commands `distrl train` and `distrl resume`."""

import json
import sys
import types
from pathlib import Path

import pytest

from distrl.cli.main import main
from distrl.cli.train import format_summary
from distrl.config import Config, config_to_yaml, load_config, load_run
from distrl.errors import ConfigError
from distrl.launch import Outcome

CATCH = str(Path(__file__).parents[2] / "configs" / "catch.yaml")
CARTPOLE = str(Path(__file__).parents[2] / "configs" / "cartpole.yaml")

RESULT = {
    "run_dir": "/somewhere/runs/catch-1",
    "status": "done",
    "reason": "evaluation_return 0.96 reached 0.95",
    "env_steps": 12345,
    "learner_steps": 3100,
    "episodes": 1372,
    "evaluation_return": 0.96,
    "evaluation_truncated": 0,
    "best_return": 0.97,
    "wall_seconds": 21.34,
    "restarts": {},
    "error": None,
}


class Launch:
    """A stand-in for `distrl.launch` that starts nothing."""

    def __init__(self):
        self.configs = []
        self.resumed = []
        self.outcome = Outcome(0, dict(RESULT))
        self.refusal = None

    def run(self, config, *, program, resume):
        self.configs.append(config)
        self.resumed.append(resume)
        print("noise on stdout")
        if self.refusal is not None:
            raise ConfigError(self.refusal)
        return self.outcome


@pytest.fixture
def launch(monkeypatch, tmp_path):
    stand_in = Launch()
    module = types.ModuleType("distrl.launch")
    module.run = stand_in.run
    monkeypatch.setitem(sys.modules, "distrl.launch", module)
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "config.yaml").write_text(config_to_yaml(Config(seed=3)))
    return str(tmp_path)


def test_flags_override_the_file(launch):
    arguments = ["--seed", "7", "--stop.env_steps=null", "--actor.count", "3"]
    assert main(["train", *arguments, CATCH]) == 0
    assert main(["train", CARTPOLE]) == 0
    assert launch.configs[1] == load_config(CARTPOLE)
    assert launch.resumed == [False, False]
    config = launch.configs[0]
    assert (config.seed, config.stop.env_steps, config.actor.count) == (7, None, 3)
    assert config.stop.evaluation_return == 0.95
    assert config.environment == Config().environment


def test_resume_uses_the_saved_configuration_and_flags(launch, run_dir):
    assert main(["resume", run_dir]) == 0
    assert main(["resume", "--stop.env_steps", "900", run_dir, "--json"]) == 0
    assert launch.resumed == [True, True]
    assert launch.configs[0] == load_run(run_dir)
    assert [config.seed for config in launch.configs] == [3, 3]
    assert launch.configs[1].stop.env_steps == 900


def test_answer_is_on_stdout_and_other_output_on_stderr(launch, capfd):
    assert main(["train", CATCH]) == 0
    out, err = capfd.readouterr()
    assert out == (
        "done (evaluation_return 0.96 reached 0.95): return 0.96, best 0.97, "
        "12,345 env_steps, 3,100 learner_steps, 21.3 s\n"
    )
    assert "noise on stdout" in err
    assert main(["train", CATCH, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == RESULT
    assert "noise on stdout" in err


def test_exit_code_is_that_of_the_run(launch):
    launch.outcome = Outcome(130, {**RESULT, "status": "stopped", "reason": "Ctrl-C"})
    assert main(["train", CATCH]) == 130


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
    ],
)
def test_summary_shows_returns_and_truncated_episodes(changes, words):
    assert words in format_summary({**RESULT, **changes})


def test_summary_names_an_existing_run_directory(tmp_path, monkeypatch):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    result = {**RESULT, "run_dir": str(tmp_path / "runs" / "one")}
    assert format_summary(result).endswith(f", {tmp_path}/runs/one")
    monkeypatch.chdir(tmp_path)
    assert format_summary(result).endswith(", runs/one")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_failure_of_a_node_is_printed_last(flags, launch, tmp_path, capfd):
    error = {"node": "actor/0", "traceback": "Traceback ...\nValueError: bad\n"}
    result = {**RESULT, "run_dir": str(tmp_path), "status": "failed", "error": error}
    launch.outcome = Outcome(1, result)
    assert main(["train", CATCH, *flags]) == 1
    err = capfd.readouterr().err
    assert err.endswith("distrl: actor/0 failed:\nTraceback ...\nValueError: bad\n")
    (tmp_path / "logs" / "actor").mkdir(parents=True)
    (tmp_path / "logs" / "actor" / "0.log").write_text("")
    assert main(["train", CATCH]) == 1
    assert "actor/0 failed (more in ./logs/actor/0.log):" in capfd.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_launch_refusal_is_reported_as_bad_usage(flags, launch, capfd):
    launch.refusal = "environment = 'bsuite:cach/0': there is no such environment"
    assert main(["train", CATCH, *flags]) == 2
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == f"distrl: error: {launch.refusal}"
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
    assert launch.configs == []
