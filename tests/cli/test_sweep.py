"""The command `distrl sweep`, where it starts no run."""

import importlib.util
import json
from pathlib import Path

import pytest

from distrl.cli.main import main
from distrl.config import load_config

BSUITE = str(Path(__file__).parents[2] / "configs" / "bsuite.yaml")


@pytest.fixture
def done(tmp_path):
    """The directory of a finished sweep."""
    path = tmp_path / "s"
    (path / "results").mkdir(parents=True)
    (path / "sweep.json").write_text('{"commands": ["first"], "ids": {}}')
    (path / "results" / "bsuite_id_-_catch-0.csv").write_text("")
    flags = [f"--run_dir={path}", "--sweep.ids=catch/0"]
    assert main(["sweep", BSUITE, *flags]) == 0
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "CONFIG|SWEEP_DIR"),
        ([BSUITE, BSUITE], "has no argument '"),
        ([BSUITE, "--stop.episodes=5"], "sweep.episodes sets another one"),
        ([BSUITE, "--sweep.job=2"], "Did you mean 'sweep.jobs'?"),
        ([BSUITE, "--sweep.jobs=0"], "sweep.jobs = 0: it must be"),
        ([BSUITE, "--sweep.ids=cach"], "Did you mean 'catch'?"),
        ([BSUITE, "--checkpoint.period_learner_steps=9"], "actor.bsuite_log = true"),
    ],
)
def test_bad_usage_is_refused_before_starting(arguments, words, tmp_path, capfd):
    flags = [f"--run_dir={tmp_path / 's'}"] if arguments else []
    assert main(["sweep", *arguments, *flags]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert not (tmp_path / "s").exists()


def test_finished_sweep_is_reported(done, capfd):
    capfd.readouterr()
    assert main(["sweep", str(done)]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("1 ids done, 0 failed: distrl report ")
    assert "1 ids, 1 of them done before" in err
    commands = json.loads((done / "sweep.json").read_text())["commands"]
    assert commands[-1] == f"distrl sweep {done}"
    assert main(["sweep", str(done), "--json"]) == 0
    answer = {"sweep_dir": str(done), "done": ["catch/0"], "failed": {}, "left": []}
    assert json.loads(capfd.readouterr().out) == answer


def test_unwritable_file_is_reported_in_one_line(done, capfd):
    (done / "results" / "bsuite_id_-_catch-0.csv").unlink()
    (done / "configs" / "catch-0.yaml").mkdir()
    capfd.readouterr()
    assert main(["sweep", str(done)]) == 1
    _, err = capfd.readouterr()
    assert err.splitlines()[-1].startswith("distrl: the sweep has ended, since")
    assert "catch-0.yaml" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_run_dir_flag_with_a_sweep_directory_is_refused(done, capfd):
    assert main(["sweep", str(done), "--run_dir=elsewhere"]) == 2
    assert "continues in the directory" in capfd.readouterr().err


def test_bsuite_config_matches_bsuites_own_dqn():
    # Importing bsuite takes seconds.
    package = Path(importlib.util.find_spec("bsuite").origin).parent
    source = (package / "baselines" / "jax" / "dqn" / "agent.py").read_text()
    source = source.partition("def default_agent")[2]
    config = load_config(BSUITE)
    for words in (
        f"hk.nets.MLP([{config.network.args['hidden_sizes'][0]}, 64, action_spec",
        f"batch_size={config.learner.batch_size},",
        f"discount={config.actor.discount},",
        f"replay_capacity={config.replay.capacity},",
        f"min_replay_size={config.replay.min_size},",
        f"target_update_period={config.learner.target_update_period},",
        f"epsilon={config.actor.exploration.epsilon},",
        "optimizer=optax.adam(1e-3)",
        "sgd_period=1",
    ):
        assert words in source
    assert config.learner.learning_rate == 1e-3
    assert config.replay.samples_per_insert == config.learner.batch_size
    assert config.learner.steps_per_dispatch == config.actor.environments == 1
