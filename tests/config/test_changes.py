"""Changes of the configuration that a resume may and may not make."""

import dataclasses

import pytest

from distrl.config import (
    Config,
    LaunchConfig,
    config_to_yaml,
    load_config,
    load_run,
)
from distrl.config.changes import check_changes
from distrl.config.fields import list_fields
from distrl.errors import ConfigError

_LOGGED = "actor: {bsuite_log: true}\nlaunch: {restart: never}"


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # Not a field of the agent's preset.
        ({"agent": "rainbow"}, "^agent = 'rainbow': the run has 'dqn'"),
        ({"stop.env_steps": 0}, "stop.env_steps = 0: it must be"),
        ({"run_dir": "there"}, "run_dir = 'there': .*that it is given"),
    ],
)
def test_forbidden_changes_are_refused(changes, words, run_dir):
    with pytest.raises(ConfigError, match=words):
        load_run(run_dir, changes)


def test_unchanged_values_and_changeable_fields_are_accepted(run_dir):
    same = {"agent": "dqn", "actor.n_step": 1, "seed": 1}
    assert load_run(run_dir, same) == load_run(run_dir)
    config = load_run(run_dir, {"stop.env_steps": 7, "launch.backend": "threads"})
    assert (config.stop.env_steps, config.launch.backend) == (7, "threads")
    # The run may have been moved.
    saved = load_config(f"{run_dir}/config.yaml")
    assert load_run(run_dir) == dataclasses.replace(saved, run_dir=run_dir)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "run does not exist"),
        ({}, "run is not the directory of a run: "),
        ({"sweep.json": "{}"}, "holds a sweep; .* distrl sweep"),
        ({"config.yaml": "no_such: 1"}, "no_such = 1: "),
        ({"config.yaml": _LOGGED}, r"actor\.bsuite_log = true: .*distrl sweep"),
    ],
)
def test_directory_without_a_run_is_refused(files, words, tmp_path):
    path = tmp_path / "run"
    if files is not None:
        path.mkdir()
        for name, text in files.items():
            (path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_run(str(path))
