"""Files, overrides, and the way back to YAML."""

import dataclasses

import pytest

from distrl.config import (
    Config,
    LearnerConfig,
    LossConfig,
    NetworkConfig,
    StopConfig,
    config_from_dict,
    config_to_yaml,
    load_config,
)
from distrl.config.fields import list_fields
from distrl.config.plain_yaml import load_yaml
from distrl.errors import ConfigError


def test_yaml_of_a_configuration_reads_as_an_equal_one():
    config = Config(
        name="null",
        seed=2**31 - 1,
        run_dir="1e-3",
        environment_args={"yes": "no", "a": [1, 1.0, None, {"": "ü\n"}]},
        network=NetworkConfig(noisy=True, noisy_sigma=1e-300, args={}),
        loss=LossConfig(double=False, munchausen_clip=-0.0, v_min=-1e300),
        learner=LearnerConfig(max_gradient_norm=5e-324, devices=None),
        stop=StopConfig(env_steps=2**63 - 1, evaluation_return=0.0),
    )
    loaded = config_from_dict(load_yaml(config_to_yaml(config), "test"))
    # repr tells 1 from 1.0, and -0.0 from 0.0.
    assert repr(loaded) == repr(config)


def test_yaml_is_complete(tmp_path):
    text = config_to_yaml(Config())
    for name in list_fields():
        assert f"{name.rpartition('.')[2]}:" in text
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert load_config(str(path)) == Config()


def test_file_and_overrides(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "# A comment.\n"
        "seed: 4\n"
        "learner: {learning_rate: 1e-3, batch_size: 128}\n"
        "network: {args: {hidden_sizes: [8], activation: relu}}\n"
    )
    config = load_config(
        str(path),
        {
            "seed": 5,
            "learner.batch_size": 64,
            "network.args.hidden_sizes": [16, 16],
            "environment_args.size.rows": 7,
            "stop": {"env_steps": 10, "seconds": 2.5},
        },
    )
    assert config.seed == 5
    assert config.learner.learning_rate == 0.001
    assert config.learner.batch_size == 64
    assert config.network.args == {"hidden_sizes": [16, 16], "activation": "relu"}
    assert config.environment_args == {"size": {"rows": 7}}
    assert config.stop == dataclasses.replace(Config().stop, env_steps=10, seconds=2.5)


@pytest.mark.parametrize("text", [None, "", "# Only a comment.\n", "{}"])
def test_nothing_is_the_defaults(tmp_path, text):
    path = tmp_path / "empty.yaml"
    path.write_text(text or "")
    assert load_config(None if text is None else str(path)) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "holds ['a', 'b']; a configuration is a mapping"),
        ("catch", "holds 'catch'; a configuration is a mapping"),
        ("seed: [", "line 1, column 8: not valid YAML"),
        ("seed: 1\nseed: 2", "seed is there twice"),
        ("seed: -1", "seed = -1"),
        ("learner: {batch_size: 90}", "replay.transitions_per_item = 32"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path))
    assert message in str(caught.value)


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "catch.yaml").write_text("")
    for wrong in ("cach.yaml", "catch.yml", "catch"):
        with pytest.raises(ConfigError) as caught:
            load_config(str(tmp_path / wrong))
        assert f"Did you mean {str(tmp_path / 'catch.yaml')!r}?" in str(caught.value)


def test_missing_file_is_looked_for_in_configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Name a YAML file, for example"):
        load_config("catch")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "catch.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"Did you mean 'configs/catch\.yaml'\?"):
        load_config("catch")


@pytest.mark.parametrize("name", ["", ".", "nul\0l"])
def test_paths_that_are_not_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="configuration file"):
        load_config(name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sede", 1, "sede = 1: there is no such field. Did you mean 'seed'?"),
        ("seed.x", 1, "seed.x = 1: there is no such field; seed takes a whole number"),
        ("", 1, " = 1: there is no such field"),
        ("network.args.", 1, "there is no such field"),
        ("network..args", 1, "there is no such field"),
        ("learner", 1, "learner = 1: it must be a mapping of its fields"),
        ("learner", {"x": 1}, "learner.x = 1: there is no such field"),
    ],
)
def test_bad_overrides(name, value, message):
    with pytest.raises(ConfigError) as caught:
        load_config(None, {name: value})
    assert message in str(caught.value)


def test_override_inside_what_the_file_gives_as_no_mapping(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("network: {args: 3}")
    with pytest.raises(ConfigError, match=r"network\.args is 3 in the file"):
        load_config(str(path), {"network.args.x": 1})


def test_overrides_leave_their_mapping_alone():
    overrides = {"stop": {"env_steps": 1}}
    load_config(None, overrides)
    assert overrides == {"stop": {"env_steps": 1}}
