"""Changes of the environment and network since a run began."""

import dataclasses
import json

import numpy as np
import pytest
from dm_env import specs

from distrl.checkpoints.run_spec import (
    check_run_spec,
    describe_environment,
    write_run_spec,
)
from distrl.config import Config
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

MAP = specs.BoundedArray((2, 2), np.float32, 0, 1)
SPEED = specs.Array((), np.int32)
SPEC = EnvironmentSpec({"map": MAP, "speed": SPEED}, num_actions=2)


@pytest.fixture
def config(tmp_path):
    config = Config(run_dir=str(tmp_path), environment="my:Env")
    network = {"params.linear.w": "float32 [4, 2]", "params.linear.b": "float32 [2]"}
    write_run_spec(tmp_path, {**describe_environment(SPEC), "network": network})
    return config


def check(config, **changes):
    return check_run_spec(
        config, describe_environment(dataclasses.replace(SPEC, **changes))
    )


def test_spec_file_describes_the_environment(config, tmp_path):
    saved = json.loads((tmp_path / "spec.json").read_text())
    assert saved["environment"] == {
        "observation['map']": "float32 [2, 2]",
        "observation['speed']": "int32 []",
        "num_actions": "2",
    }
    assert saved["bounds"] == {"observation['map']": "0.0 to 1.0"}
    assert check(config) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"observation": {"map": specs.Array((3, 3), np.float32), "speed": SPEED}},
            "observation['map'] was float32 [2, 2], is now float32 [3, 3].",
        ),
        (
            {"observation": {"board": MAP, "speed": SPEED}},
            "observation['map'] was float32 [2, 2], is now missing; "
            "observation['board'] was missing, is now float32 [2, 2].",
        ),
        ({"num_actions": 3}, "num_actions was 2, is now 3."),
    ],
)
def test_changed_environment_is_refused(config, changes, words):
    with pytest.raises(ConfigError) as caught:
        check(config, **changes)
    assert "environment 'my:Env' has changed since the run" in str(caught.value)
    assert words in str(caught.value)


def test_changed_bounds_give_a_warning(config):
    wider = specs.BoundedArray((2, 2), np.float32, -1, [[1, 1], [1, 5]])
    (line,) = check(config, observation={"map": wider, "speed": SPEED})
    assert "observation['map'] was 0.0 to 1.0, is now -1.0 to 5.0" in line
    (line,) = check(
        config, observation={"map": specs.Array((2, 2), np.float32), "speed": SPEED}
    )
    assert "observation['map'] was 0.0 to 1.0, is now missing" in line


def test_long_list_of_changes_is_shortened(config):
    now = {f"params.layer_{n}.w": "float32 [1]" for n in range(10)}
    with pytest.raises(ConfigError, match="the network of agent .*; and 9 more"):
        check_run_spec(config, {"network": now})


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"environment": 3}', "[" * 100_000, '{"other": {}}']
)
def test_missing_or_damaged_spec_file_is_ignored(config, tmp_path, text):
    if text is None:
        (tmp_path / "spec.json").unlink()
    else:
        (tmp_path / "spec.json").write_text(text)
    assert check(config, num_actions=7) == []
    assert check_run_spec(dataclasses.replace(config, run_dir=None), {"a": {}}) == []
