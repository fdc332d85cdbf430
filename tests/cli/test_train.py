"""`distrl train`: from the arguments to a run, and from its outcome to the answer."""

import json
import sys
import types
from pathlib import Path

import pytest

from distrl.cli.main import main
from distrl.config import Config, load_config
from distrl.errors import ConfigError
from distrl.launch import Outcome

CATCH = str(Path(__file__).parents[2] / "configs" / "catch.yaml")
CARTPOLE = str(Path(__file__).parents[2] / "configs" / "cartpole.yaml")

_RESULT = {
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


class _Launch:
    """Stands in for `distrl.launch`: takes the configuration and starts nothing."""

    def __init__(self):
        self.configs = []
        self.outcome = Outcome(0, dict(_RESULT))
        self.refusal = None

    def run(self, config, *, program, progress, resume):
        assert program == "distrl.program:make_program"
        assert not resume
        self.configs.append(config)
        print("noise on stdout")
        progress.stage("starting")
        if self.refusal is not None:
            raise ConfigError(self.refusal)
        return self.outcome


@pytest.fixture
def launch(monkeypatch, tmp_path):
    stand_in = _Launch()
    module = types.ModuleType("distrl.launch")
    module.run = stand_in.run
    monkeypatch.setitem(sys.modules, "distrl.launch", module)
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.mark.parametrize("path", [CATCH, CARTPOLE])
def test_our_configurations_are_taken(path, launch):
    assert main(["train", path]) == 0
    assert launch.configs == [load_config(path)]


def test_flags_replace_what_the_file_says(launch):
    arguments = ["--seed", "7", "--stop.env_steps=null", "--actor.count", "3"]
    assert main(["train", *arguments, CATCH]) == 0
    (config,) = launch.configs
    assert (config.seed, config.stop.env_steps, config.actor.count) == (7, None, 3)
    assert config.stop.evaluation_return == 0.95
    assert config.environment == Config().environment


def test_a_run_without_any_stop_condition_is_allowed(launch):
    none = ["--stop.env_steps", "null", "--stop.evaluation_return", "null"]
    assert main(["train", CATCH, *none]) == 0


def test_the_last_line_is_a_summary(launch, capfd):
    assert main(["train", CATCH]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == (
        "done (evaluation_return 0.96 reached 0.95): return 0.96, best 0.97, "
        "12,345 env_steps, 3,100 learner_steps, 21.3 s"
    )


def test_the_summary_of_a_run_that_was_never_evaluated(launch, capfd):
    changes = {"status": "stopped", "reason": "Ctrl-C", "evaluation_return": None}
    result = {
        **_RESULT,
        **changes,
        "best_return": None,
        "run_dir": str(Path("r").absolute()),
    }
    launch.outcome = Outcome(130, result)
    assert main(["train", CATCH]) == 130
    line = capfd.readouterr().out.splitlines()[-1]
    assert line.startswith("stopped (Ctrl-C): return none, best none, ")
    assert line.endswith(" s")


def test_json_is_one_document_on_stdout_and_all_else_on_stderr(launch, capfd):
    assert main(["train", CATCH, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == _RESULT
    assert "noise on stdout" in err
    print("stdout is back")
    assert capfd.readouterr().out == "stdout is back\n"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_failure_is_the_last_thing_on_stderr(flags, launch, capfd):
    error = {"node": "actor/0", "traceback": "Traceback ...\nValueError: bad\n"}
    launch.outcome = Outcome(1, {**_RESULT, "status": "failed", "error": error})
    assert main(["train", CATCH, *flags]) == 1
    err = capfd.readouterr().err
    assert err.endswith("distrl: actor/0 failed:\nTraceback ...\nValueError: bad\n")


def test_a_failure_names_the_log_of_the_node(launch, tmp_path, capfd):
    (tmp_path / "logs" / "actor").mkdir(parents=True)
    (tmp_path / "logs" / "actor" / "0.log").write_text("")
    error = {"node": "actor/0", "traceback": "Traceback"}
    result = {**_RESULT, "run_dir": str(tmp_path), "error": error}
    launch.outcome = Outcome(1, result)
    assert main(["train", CATCH]) == 1
    assert "actor/0 failed (more in ./logs/actor/0.log):" in capfd.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_the_launcher_refuses_is_bad_input_too(flags, launch, capfd):
    launch.refusal = "environment = 'bsuite:cach/0': there is no such environment"
    assert main(["train", CATCH, *flags]) == 2
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == f"distrl: error: {launch.refusal}"
    assert "{" not in out
