import dataclasses

import jax
import numpy as np
import pytest
from saved_runs import (
    ACTIONS,
    prefer,
    save_as_best,
    save_latest,
    write_config,
)

from distrl.agents import make_agent
from distrl.config import Config, config_from_dict
from distrl.environments import read_spec
from distrl.errors import ConfigError
from distrl.evaluation import saved_variables
from distrl.evaluation.saved_variables import load_variables
from distrl.serial import run_serial


def read(config: Config, which=None, warn=print):
    spec = read_spec(config.environment, config.environment_args)
    return load_variables(config, make_agent(config, spec), which, warn)


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "run", ACTIONS)


def test_missing_checkpoint_is_an_error(config):
    with pytest.raises(ConfigError, match="has no whole checkpoint yet"):
        read(config)
    save_latest(config, prefer(1), 30)
    with pytest.raises(ConfigError, match="--checkpoint latest"):
        read(config, "best")


@pytest.mark.parametrize("which", ["best", "latest"])
def test_checkpoint_of_another_network_is_refused(config, which):
    save_as_best(config, prefer(2), 20)
    save_latest(config, prefer(1), 30)
    network = dataclasses.replace(config.network, factory="mlp", head="linear")
    with pytest.raises(ConfigError, match="it is of another network") as caught:
        read(dataclasses.replace(config, network=network), which)
    assert "config.yaml" in str(caught.value)


def test_best_checkpoint_replaced_during_read_is_reread(config, monkeypatch):
    first = save_as_best(config, prefer(1), 20, 1.0)
    load_arrays = saved_variables.load_arrays

    def replace_and_read(file, like):
        if file.parent == first.path:
            # This removes the checkpoint that is being read.
            save_as_best(config, prefer(2), 40, 2.0)
        return load_arrays(file, like)

    monkeypatch.setattr(saved_variables, "load_arrays", replace_and_read)
    found = read(config)
    assert found.learner_steps == 40
    np.testing.assert_array_equal(found.params["~"]["q"], [0, 0, 1])


def test_damaged_best_checkpoint_falls_back_to_latest(config):
    save_latest(config, prefer(0), 10)
    best = save_as_best(config, prefer(1), 20)
    file = best.path / "policy.npz"
    file.write_bytes(file.read_bytes() + b"x")
    lines = []
    found = read(config, warn=lines.append)
    assert (found.which, found.learner_steps) == ("latest", 10)
    assert "best/20 is damaged" in lines[0]
    with pytest.raises(ConfigError, match="no whole best checkpoint"):
        read(config, "best")


def test_checkpoint_of_a_serial_run_is_loaded(tmp_path):
    config = config_from_dict(
        {
            "run_dir": str(tmp_path / "run"),
            "network": {"args": {"hidden_sizes": [8]}},
            "actor": {"environments": 4},
            "replay": {"min_size": 32, "capacity": 100},
            "learner": {"batch_size": 16, "steps_per_dispatch": 2, "devices": 1},
            "evaluation": {"period": 1_000_000},
            "stop": {"learner_steps": 6},
            "launch": {"backend": "serial"},
        }
    )
    write_config(tmp_path / "run", {})
    state = run_serial(config, read_spec(config.environment, {}))
    found = read(config)
    assert (found.which, found.learner_steps) == ("latest", 6)
    learned = jax.tree.map(lambda x: np.asarray(x)[0], state.learning.train.params)
    jax.tree.map(np.testing.assert_array_equal, found.params, learned)
