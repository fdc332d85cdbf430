"""Loading of configurations from files, mappings, overrides and flags."""

import dataclasses
import os
import pwd

import numpy as np
import pytest

from distrl.config import (
    ActorConfig,
    Config,
    ExplorationConfig,
    LaunchConfig,
    LearnerConfig,
    LossConfig,
    NetworkConfig,
    ReplayConfig,
    StopConfig,
    check_config,
    config_from_dict,
    config_to_yaml,
    load_config,
)
from distrl.config.fields import list_fields
from distrl.config.load import read_path, read_text
from distrl.config.plain_yaml import load_yaml
from distrl.errors import ConfigError

USER = pwd.getpwuid(os.getuid())


def test_configuration_survives_a_yaml_round_trip():
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
    text = config_to_yaml(config)
    assert all(f"{name.rpartition('.')[2]}:" in text for name in list_fields())
    # repr distinguishes 1 from 1.0, and -0.0 from 0.0.
    assert repr(config_from_dict(load_yaml(text, "test"))) == repr(config)


def test_overrides_are_merged_into_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "# A comment.\n"
        "seed: 4\n"
        "learner: {learning_rate: 1e-3, batch_size: 128}\n"
        "network: {args: {hidden_sizes: [8], activation: relu}}\n"
    )
    overrides = {
        "seed": 5,
        "learner.batch_size": 64,
        "network.args.hidden_sizes": [16, 16],
        "environment_args.size.rows": 7,
        "stop": {"env_steps": 10, "seconds": 2.5},
    }
    before = repr(overrides)
    assert load_config(str(path), overrides) == Config(
        seed=5,
        learner=LearnerConfig(learning_rate=0.001, batch_size=64),
        network=NetworkConfig(args={"hidden_sizes": [16, 16], "activation": "relu"}),
        environment_args={"size": {"rows": 7}},
        stop=StopConfig(env_steps=10, seconds=2.5),
    )
    assert repr(overrides) == before


@pytest.mark.parametrize("text", [None, "", "# Only a comment.\n", "{}"])
def test_empty_or_no_file_gives_the_defaults(tmp_path, text):
    path = tmp_path / "empty.yaml"
    path.write_text(text or "")
    assert load_config(None if text is None else str(path)) == Config()


def test_zero_false_null_and_empty_values_are_kept():
    args = {"hidden_sizes": []}
    config = config_from_dict(
        {
            "actor": {"exploration": {"epsilon": 0.0}},
            "launch": {"isolate": False},
            "stop": {"evaluation_return": 0},
            "replay": {"samples_per_insert": None},
            "network": {"args": args},
        }
    )
    args["hidden_sizes"].append(3)
    expected = Config(
        actor=ActorConfig(exploration=ExplorationConfig(epsilon=0.0)),
        launch=LaunchConfig(isolate=False),
        stop=StopConfig(evaluation_return=0.0),
        replay=ReplayConfig(samples_per_insert=None),
        network=NetworkConfig(args={"hidden_sizes": []}),
    )
    assert repr(config) == repr(expected)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (3, "a configuration = 3: it must be a mapping"),
        ({"seed": True}, "seed = true: it must be a whole number"),
        ({"seed": 3.0}, "seed = 3.0: it must be a whole number"),
        ({"seed": 2**31}, "seed = 2147483648: it must be a whole number, at least 0"),
        ({"actor": {"discount": 10**400}}, "it must be a finite number, 0 to 1"),
        ({"actor": {"discount": float("nan")}}, "actor.discount = nan"),
        ({"actor": {"discount": np.float64(0.9)}}, f"discount = {np.float64(0.9)!r}"),
        ({"launch": {"isolate": 1}}, "launch.isolate = 1: it must be true or false"),
        ({"run_dir": 3}, "run_dir = 3: it must be text, or null"),
        ({"replay": {"kind": "Uniform"}}, "Did you mean 'uniform'?"),
        ({"replay": None}, "replay = null: it must be a mapping of its fields (kind"),
        ({"actor": {"coun": 3}}, "actor.coun = 3: there is no such field. Did you"),
        ({"actor": {3: 3}}, "actor.3 = 3: there is no such field"),
        ({"network": {"args": [1]}}, "network.args = [1]: it must be a mapping"),
        ({"network": {"args": {3: 1}}}, "network.args = {3: 1}: it must be text"),
        ({"network": {"args": {"a": (1,)}}}, "network.args.a = (1,): it must be text"),
        ({"network": {"args": {"a": [{"b": np.ones(2)}]}}}, "network.args.a[0].b = "),
        ({"environment_args": {"x": float("inf")}}, "environment_args.x = inf: it"),
        ({"seed.x": 1}, "seed.x = 1: there is no such field"),
        ({"network.args": 3, "network.args.x": 1}, "network.args is 3, which is not a"),
    ],
)
def test_invalid_values_are_refused(tree, message):
    with pytest.raises(ConfigError) as caught:
        config_from_dict(tree)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # Python's dataclasses check neither types nor ranges.
        ({"actor": None}, "actor = null: it must be a mapping of its fields"),
        ({"seed": "1"}, "seed = '1': .* a whole number"),
        ({"stop": StopConfig(seconds=float("inf"))}, "stop.seconds = inf: "),
        ({"environment_args": {"x": (1,)}}, r"environment_args.x = \(1,\): "),
        ({"agent": "rainbow"}, "network.head = 'linear': .*'c51'"),
    ],
)
def test_invalid_configurations_from_python_are_refused(changes, words):
    check_config(Config())
    with pytest.raises(ConfigError, match=words):
        check_config(dataclasses.replace(Config(), **changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "a configuration = ['a', 'b']: it must be a mapping"),
        ("seed: -1", "seed = -1"),
        ("replay: {capacity: 9, min_size: 1}", "replay.capacity = 9"),
    ],
)
def test_invalid_files_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path))
    assert message in str(caught.value)


def test_missing_file_suggests_the_nearest_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Name a YAML file, for example"):
        load_config("catch")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "catch.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"Did you mean 'configs/catch\.yaml'\?"):
        load_config("catch")
    (tmp_path / "catch.yaml").write_text("")
    for wrong in ("cach.yaml", "catch.yml", "catch"):
        with pytest.raises(ConfigError, match=r"Did you mean '.*/catch\.yaml'\?"):
            load_config(str(tmp_path / wrong))


@pytest.mark.parametrize("name", ["", ".", "nul\0l"])
def test_paths_that_are_not_files_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="configuration file"):
        load_config(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~", "{home}"),
        ("~/runs/one", "{home}/runs/one"),
        (f"~{USER.pw_name}/x", f"{USER.pw_dir}/x"),
        ("runs/~/one", "{here}/runs/~/one"),
        ("./~", "{here}/~"),
        ("$HOME/x", "{here}/$HOME/x"),
        ("a/../b", "{here}/b"),
        ("/absolute/", "/absolute"),
    ],
)
def test_paths_are_expanded_and_made_absolute(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    meant = expected.format(home=tmp_path / "home", here=tmp_path)
    assert str(read_path("run_dir", text)) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~nobody-has-this-name/x", "~nobody-has-this-name is not the home directory"),
        ("x" * 256, "File name too long"),
        (os.fsdecode(b"no\xff"), "'utf-8' codec can't encode"),
        ("no\0", "embedded null"),
        ("loop/x", "symbolic links"),
    ],
)
def test_invalid_paths_are_refused(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match=f"^--video = .*{words}"):
        read_path("--video", text)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stop.env_steps", "null", None),
        ("stop.evaluation_return", "-1e2", -100.0),
        ("launch.isolate", "false", False),
        # Flags of text fields stay text, whatever YAML would make of them.
        ("name", "5", "5"),
        ("name", "null", "null"),
        ("run_dir", "5", "5"),
        ("run_dir", "null", None),
        ("replay.kind", "uniform", "uniform"),
        ("network.args.hidden_sizes", "[64, 64]", [64, 64]),
        ("network.args", "{a: 1}", {"a": 1}),
        ("environment_args.name", "x", "x"),
        ("learner", "{batch_size: 32}", {"batch_size": 32}),
        # An unset shell variable must not set a field to null.
        ("stop.env_steps", "", ""),
    ],
)
def test_flag_values_are_parsed_by_field_type(name, text, value):
    assert repr(read_text(name, text)) == repr(value)


def test_invalid_yaml_in_a_flag_is_refused():
    with pytest.raises(ConfigError, match="^--network.args = '{a: ', line 1"):
        read_text("network.args", "{a: ")
