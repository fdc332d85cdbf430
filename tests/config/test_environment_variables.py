"""What the variables of a group's nodes may be."""

import pytest

from distrl.config import (
    Config,
    LaunchConfig,
    check_config,
    config_to_yaml,
    load_config,
)
from distrl.config.environment_variables import check_environment_variables
from distrl.errors import ConfigError


def test_text_and_numbers_are_values():
    variables = {"A": "", "B": 0, "C": 0.5, "D": "a=b"}
    check_environment_variables(LaunchConfig(environment={"learner": variables}))
    check_environment_variables(LaunchConfig(environment={"learner": {}}))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"learner": "CUDA_VISIBLE_DEVICES=0"},
            ["launch.environment.learner = 'CUDA_", "{CUDA_VISIBLE_DEVICES: 0}"],
        ),
        (
            {"learner": {"JAX_ENABLE_X64": True}},
            ["launch.environment.learner.JAX_ENABLE_X64 = true", "text or a number"],
        ),
        ({"learner": {"A": None}}, ["launch.environment.learner.A = null", "a number"]),
        ({"learner": {"A": "a\0b"}}, ["launch.environment.learner.A = ", "text"]),
        ({"learner": {"A=B": "1"}}, ["launch.environment.learner.A=B", "no '='"]),
        ({"learner": {"": "1"}}, ["launch.environment.learner. = '1'", "not empty"]),
    ],
)
def test_what_no_process_can_have_is_refused(environment, words):
    with pytest.raises(ConfigError) as caught:
        check_config(Config(launch=LaunchConfig(environment=environment)))
    for word in words:
        assert word in str(caught.value)


def test_threads_have_one_environment():
    environment = {"actor": {"A": "1"}}
    launch = LaunchConfig(backend="threads", environment=environment)
    with pytest.raises(ConfigError, match="launch.environment = .*where distrl is"):
        check_environment_variables(launch)


def test_flags_and_yaml_take_them(tmp_path):
    name = "launch.environment.learner.CUDA_VISIBLE_DEVICES"
    config = load_config(None, {name: "0,1"})
    assert config.launch.environment == {"learner": {"CUDA_VISIBLE_DEVICES": "0,1"}}
    (tmp_path / "config.yaml").write_text(config_to_yaml(config))
    assert load_config(str(tmp_path / "config.yaml")) == config
