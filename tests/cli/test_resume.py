"""`distrl resume`: from a run's directory and the flags to the run that goes on."""

import sys
import types

import pytest

from distrl.cli.main import main
from distrl.config import Config, config_to_yaml, load_run
from distrl.launch import Outcome

RESULT = {
    "run_dir": "/somewhere/runs/catch-1",
    "status": "done",
    "reason": "env_steps 200 reached 200",
    "env_steps": 200,
    "learner_steps": 31,
    "episodes": 13,
    "evaluation_return": None,
    "evaluation_truncated": None,
    "best_return": None,
    "wall_seconds": 2.5,
    "restarts": {},
    "error": None,
}


@pytest.fixture
def launched(monkeypatch):
    """The configurations with which a run would have gone on."""
    configs = []

    def run(config, *, program, progress, resume):
        assert resume
        configs.append(config)
        return Outcome(0, dict(RESULT))

    module = types.ModuleType("distrl.launch")
    module.run = run
    monkeypatch.setitem(sys.modules, "distrl.launch", module)
    return configs


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "config.yaml").write_text(config_to_yaml(Config(seed=3)))
    return str(tmp_path)


def test_it_goes_on_by_the_saved_configuration(run_dir, launched, capfd):
    assert main(["resume", run_dir]) == 0
    assert launched == [load_run(run_dir)]
    assert launched[0].seed == 3
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith("done (env_steps 200 reached 200): ")


def test_flags_change_it(run_dir, launched):
    assert main(["resume", "--stop.env_steps", "900", run_dir, "--json"]) == 0
    assert launched[0].stop.env_steps == 900


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "resume takes the directory of one run and got nothing"),
        (["a", "b"], "got a, b"),
        (["{run_dir}/no"], "/no does not exist"),
        (["{run_dir}", "--network.factory", "conv"], "network.factory = 'conv': the"),
        (["{run_dir}", "--environment", "gym:CartPole-v1"], "environment = 'gym:Car"),
        (["{run_dir}", "--environment_args.a", "1"], "environment_args = {'a': 1}"),
        (["{run_dir}", "--stop.env_step", "1"], "Did you mean"),
        (["{run_dir}", "--run_dir", "x"], "run_dir = 'x': distrl resume continues in"),
        (["{run_dir}", "--jsn"], "--jsn"),
    ],
)
def test_bad_usage_is_one_message(run_dir, launched, capsys, arguments, words):
    arguments = [each.format(run_dir=run_dir) for each in arguments]
    assert main(["resume", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err
    assert launched == []


def test_help_shows_the_flags_and_says_which_may_change(capsys):
    assert main(["resume", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: distrl resume RUN_DIR [--json]")
    assert "nothing saved depends on" in out
    assert "--stop.env_steps" in out
