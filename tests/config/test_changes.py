"""The changes that a resume may make, and those that it may not."""

import dataclasses
from pathlib import Path

import pytest

from distrl.config import (
    Config,
    LaunchConfig,
    config_from_dict,
    config_to_yaml,
    load_config,
    load_run,
)
from distrl.config.changes import check_changes
from distrl.config.fields import list_fields
from distrl.errors import ConfigError


@pytest.fixture
def run_dir(tmp_path):
    config = Config(agent="dqn", run_dir="/elsewhere")
    (tmp_path / "config.yaml").write_text(config_to_yaml(config))
    return str(tmp_path)


def test_no_field_that_saved_data_depends_on_may_change():
    sections = ("variables", "evaluation", "stop", "checkpoint", "launch", "sweep")
    changeable = {
        *("name", "run_dir", "actor.count", "actor.environments"),
        *("actor.environment_processes", "actor.fetch_seconds"),
        *("replay.shuffle_steps", "replay.prefetch", "replay.importance_exponent"),
        *("learner.devices", "learner.learning_rate", "learner.schedule_args"),
        *("learner.target_update_period", "learner.target_update_rate"),
        *("learner.publish_period", "learner.metrics_period"),
    }
    for name, field in list_fields().items():
        may_change = name in changeable or name.startswith("actor.exploration.")
        assert (field.fixed is None) == (may_change or name.startswith(sections)), name


def test_distributed_backends_replace_each_other():
    def use(backend):
        return Config(launch=LaunchConfig(backend=backend))

    for before in ("processes", "threads", "launchpad"):
        for now in ("processes", "threads", "launchpad"):
            check_changes(use(before), use(now))
        for pair in ((before, "serial"), ("serial", before)):
            with pytest.raises(ConfigError, match=r"launch\.backend.*form of its own"):
                check_changes(*map(use, pair))


def test_the_message_names_field_both_values_and_the_reason(run_dir):
    with pytest.raises(ConfigError) as caught:
        load_run(run_dir, {"actor.n_step": 3})
    assert str(caught.value) == (
        "actor.n_step = 3: the run has 1, and it must keep that: the transitions in "
        "replay were made with it. Start another run with distrl train."
    )


def test_another_agent_is_named_before_the_fields_of_its_preset(run_dir):
    with pytest.raises(ConfigError, match="^agent = 'rainbow': the run has 'dqn'"):
        load_run(run_dir, {"agent": "rainbow"})


def test_values_that_are_the_same_and_values_that_may_change(run_dir):
    same = {"agent": "dqn", "actor.n_step": 1, "seed": 1}
    assert load_run(run_dir, same) == load_run(run_dir)
    config = load_run(run_dir, {"stop.env_steps": 7, "launch.backend": "threads"})
    assert (config.stop.env_steps, config.launch.backend) == (7, "threads")
    assert config.agent == "dqn"
    with pytest.raises(ConfigError, match=r"stop\.env_steps = 0: it must be"):
        load_run(run_dir, {"stop.env_steps": 0})


def test_a_moved_run_loads_as_it_was_saved(run_dir):
    saved = load_config(f"{run_dir}/config.yaml")
    assert load_run(run_dir) == dataclasses.replace(saved, run_dir=run_dir)
    with pytest.raises(ConfigError, match="run_dir = 'there': .*that it is given"):
        load_run(run_dir, {"run_dir": "there"})


def test_a_run_that_bsuite_will_score_cannot_be_resumed(tmp_path):
    logged = {"actor": {"bsuite_log": True}, "launch": {"restart": "never"}}
    (tmp_path / "config.yaml").write_text(config_to_yaml(config_from_dict(logged)))
    with pytest.raises(ConfigError, match=r"actor\.bsuite_log = true: .*distrl sweep"):
        load_run(str(tmp_path))


def test_a_sweep_is_not_a_run(run_dir):
    Path(run_dir, "sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a sweep; .* distrl sweep"):
        load_run(run_dir)


def test_a_directory_without_a_run_is_refused(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ConfigError, match=f"^{path} does not exist"):
        load_run(str(path))
    path.mkdir()
    with pytest.raises(ConfigError, match=f"^{path} is not the directory of a run: "):
        load_run(str(path))
    (path / "config.yaml").write_text("no_such: 1")
    with pytest.raises(ConfigError, match="no_such = 1: "):
        load_run(str(path))
