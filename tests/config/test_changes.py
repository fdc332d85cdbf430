"""Changes of the configuration that a resume may and may not make."""

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


def test_fields_that_saved_data_depends_on_are_fixed():
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


def test_resume_switches_between_distributed_backends_only():
    def use(backend):
        return Config(launch=LaunchConfig(backend=backend))

    for before in ("processes", "threads", "launchpad"):
        for now in ("processes", "threads", "launchpad"):
            check_changes(use(before), use(now))
        for pair in ((before, "serial"), ("serial", before)):
            with pytest.raises(ConfigError, match=r"launch\.backend.*form of its own"):
                check_changes(*map(use, pair))


def test_refusal_names_field_both_values_and_reason(run_dir):
    with pytest.raises(ConfigError) as caught:
        load_run(run_dir, {"actor.n_step": 3})
    assert str(caught.value) == (
        "actor.n_step = 3: the run has 1, and it must keep that: the transitions in "
        "replay were made with it. Start another run with distrl train."
    )


def test_changed_agent_is_reported_before_its_preset_fields(run_dir):
    with pytest.raises(ConfigError, match="^agent = 'rainbow': the run has 'dqn'"):
        load_run(run_dir, {"agent": "rainbow"})


def test_unchanged_values_and_changeable_fields_are_accepted(run_dir):
    same = {"agent": "dqn", "actor.n_step": 1, "seed": 1}
    assert load_run(run_dir, same) == load_run(run_dir)
    config = load_run(run_dir, {"stop.env_steps": 7, "launch.backend": "threads"})
    assert (config.stop.env_steps, config.launch.backend) == (7, "threads")
    assert config.agent == "dqn"
    with pytest.raises(ConfigError, match=r"stop\.env_steps = 0: it must be"):
        load_run(run_dir, {"stop.env_steps": 0})


def test_moved_run_loads_with_its_new_directory(run_dir):
    saved = load_config(f"{run_dir}/config.yaml")
    assert load_run(run_dir) == dataclasses.replace(saved, run_dir=run_dir)
    with pytest.raises(ConfigError, match="run_dir = 'there': .*that it is given"):
        load_run(run_dir, {"run_dir": "there"})


def test_run_with_bsuite_log_cannot_be_resumed(tmp_path):
    logged = {"actor": {"bsuite_log": True}, "launch": {"restart": "never"}}
    (tmp_path / "config.yaml").write_text(config_to_yaml(config_from_dict(logged)))
    with pytest.raises(ConfigError, match=r"actor\.bsuite_log = true: .*distrl sweep"):
        load_run(str(tmp_path))


def test_sweep_directory_cannot_be_resumed_as_a_run(run_dir):
    Path(run_dir, "sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a sweep; .* distrl sweep"):
        load_run(run_dir)


def test_directory_without_a_run_is_refused(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ConfigError, match=f"^{path} does not exist"):
        load_run(str(path))
    path.mkdir()
    with pytest.raises(ConfigError, match=f"^{path} is not the directory of a run: "):
        load_run(str(path))
    (path / "config.yaml").write_text("no_such: 1")
    with pytest.raises(ConfigError, match="no_such = 1: "):
        load_run(str(path))
