"""The changes that a resume may make, and those that it may not."""

import dataclasses
from pathlib import Path

import pytest

from distrl.config import (
    CheckpointConfig,
    Config,
    config_from_dict,
    config_to_yaml,
    load_config,
    load_run,
)
from distrl.config.changes import check_changes
from distrl.config.fields import find_value, list_fields
from distrl.errors import ConfigError

# Another value than a field has, by its type.
_OTHERS = {bool: lambda x: not x, int: lambda x: (x or 0) + 1, str: lambda x: f"{x}x"}


@pytest.fixture
def run_dir(tmp_path):
    config = Config(agent="dqn", run_dir="/elsewhere", checkpoint=CheckpointConfig())
    (tmp_path / "config.yaml").write_text(config_to_yaml(config))
    return str(tmp_path)


def change(config, name, value):
    """Returns the configuration with one field replaced, unchecked."""
    section, _, rest = name.partition(".")
    if rest:
        value = change(getattr(config, section), rest, value)
    return dataclasses.replace(config, **{section: value})


def make_other(field, value):
    """Returns another value for a field."""
    if field.choices:
        return next(each for each in field.choices if each != value)
    if field.is_mapping:
        return {"another": 1}
    return _OTHERS.get(field.kind, lambda x: (x or 0.0) + 0.5)(value)


@pytest.mark.parametrize("name", list(list_fields()))
def test_each_field_that_saved_data_depends_on_is_refused_and_no_other(name):
    sections = ("variables", "evaluation", "stop", "checkpoint", "launch", "sweep")
    changeable = {
        *("name", "run_dir", "actor.count", "actor.environments"),
        *("actor.environment_processes", "actor.fetch_seconds"),
        *("replay.shuffle_steps", "replay.prefetch", "replay.importance_exponent"),
        *("learner.devices", "learner.learning_rate", "learner.schedule_args"),
        *("learner.target_update_period", "learner.target_update_rate"),
        *("learner.publish_period", "learner.metrics_period"),
    }
    config = Config()
    other = make_other(list_fields()[name], find_value(config, name))
    changed = change(config, name, other)
    if (
        name in changeable
        or name.startswith("actor.exploration.")
        or name.split(".")[0] in sections
    ):
        check_changes(config, changed)
    else:
        with pytest.raises(ConfigError, match=f"^{name} = .*must keep that"):
            check_changes(config, changed)


@pytest.mark.parametrize("before", ["processes", "threads", "launchpad"])
def test_distributed_backends_replace_each_other(before):
    saved = change(Config(), "launch.backend", before)
    for now in ("processes", "threads", "launchpad"):
        check_changes(saved, change(Config(), "launch.backend", now))
    serial = change(Config(), "launch.backend", "serial")
    for pair in ((saved, serial), (serial, saved)):
        with pytest.raises(ConfigError, match=r"launch\.backend.*form of its own"):
            check_changes(*pair)


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
