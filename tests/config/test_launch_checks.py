"""Processes, environment variables and the cluster: what no program can have."""

import pytest

from distrl.config import Config, LaunchConfig, config_from_dict
from distrl.config.launch_checks import check_launch
from distrl.errors import ConfigError

_LOGGED = {"actor": {"bsuite_log": True}, "launch": {"restart": "never"}}


@pytest.mark.parametrize(
    "tree",
    [
        {"evaluation": {"episodes": 100, "environments": 100}},
        _LOGGED,
        {**_LOGGED, "checkpoint": {"period_learner_steps": 5}},
        {"launch": {"address": "auto"}},
        {"launch": {"address": "10.0.0.1:6379"}},
        {"launch": {"resources": {"actor": {"num_cpus": 0}, "learner": {}}}},
        {"launch": {"resources": {"learner": {"num_gpus": 0.5, "licence": 2}}}},
        {"launch": {"environment": {"learner": {"A": "", "B": 0, "C": "a=b"}}}},
        {"launch": {"environment": {"learner": {}}}},
    ],
)
def test_possible_programs(tree):
    check_launch(config_from_dict(tree))


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"launch": {"report_seconds": 30.0}},
            ["launch.report_seconds = 30", "launch.silent_seconds = 30"],
        ),
        (
            {"actor": {"environments": 4, "environment_processes": 5}},
            ["actor.environment_processes = 5", "actor.environments = 4"],
        ),
        (
            {"evaluation": {"environment_processes": 26}},
            ["evaluation.environment_processes = 26", "evaluation.environments = 25"],
        ),
        (
            {"actor": {"environment_processes": 2}, "environment": "atari:Pong"},
            ["actor.environment_processes = 2", "'atari:Pong'", "set it to 0"],
        ),
        (
            {"evaluation": {"environments": 30}},
            ["evaluation.environments = 30", "evaluation.episodes = 100"],
        ),
        (
            {"actor": {"bsuite_log": True}},
            ["actor.bsuite_log = true", "launch.restart", "never", "killed"],
        ),
        (
            {**_LOGGED, "environment": "gym:CartPole-v1"},
            ["actor.bsuite_log = true", "'gym:CartPole-v1'", "false"],
        ),
        (
            {
                "actor": {"bsuite_log": True},
                "launch": {"restart": "never", "backend": "serial"},
                "checkpoint": {"period_learner_steps": 5},
            },
            ["actor.bsuite_log = true", "checkpoint.period_learner_steps = 5", "null"],
        ),
    ],
)
def test_impossible_programs(tree, words):
    with pytest.raises(ConfigError) as caught:
        check_launch(config_from_dict(tree))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        ({"address": "ray://10.0.0.1:1"}, ["'ray://10.0.0.1:1'", "10.0.0.1:6379"]),
        ({"address": "10.0.0.1"}, ["launch.address = '10.0.0.1'", "host:port"]),
        ({"address": "head:0"}, ["launch.address = 'head:0'"]),
        ({"address": ""}, ["launch.address = ''", "null"]),
        ({"resources": {"learner": 1}}, ["launch.resources.learner = 1", "mapping"]),
        (
            {"resources": {"learner": {"num_gpus": "1"}}},
            ["launch.resources.learner.num_gpus = '1'", "a number"],
        ),
        (
            {"resources": {"learner": {"num_cpus": -1}}},
            ["launch.resources.learner.num_cpus = -1", "at least 0"],
        ),
        (
            {"resources": {"learner": {"licence": True}}},
            ["launch.resources.learner.licence = true", "a number"],
        ),
        (
            {"resources": {"learner": {"num_gpus": 1.5}}},
            ["launch.resources.learner.num_gpus = 1.5", "whole GPUs"],
        ),
        (
            {"resources": {"learner": {"num_gpu": 1}}},
            ["launch.resources.learner.num_gpu = 1", "Did you mean 'num_gpus'?"],
        ),
        (
            {"environment": {"learner": "CUDA_VISIBLE_DEVICES=0"}},
            ["launch.environment.learner = 'CUDA_", "{CUDA_VISIBLE_DEVICES: 0}"],
        ),
        (
            {"environment": {"learner": {"A": True}}},
            ["launch.environment.learner.A = true", "text or a number"],
        ),
        (
            {"environment": {"learner": {"A": None}}},
            ["launch.environment.learner.A = null"],
        ),
        (
            {"environment": {"learner": {"A": "a\0b"}}},
            ["launch.environment.learner.A = "],
        ),
        (
            {"environment": {"learner": {"A=B": "1"}}},
            ["launch.environment.learner.A=B", "'='"],
        ),
        (
            {"environment": {"learner": {"": "1"}}},
            ["launch.environment.learner. = '1'", "empty"],
        ),
        (
            {"backend": "threads", "environment": {"actor": {"A": "1"}}},
            ["launch.environment = ", "launch.backend = threads"],
        ),
    ],
)
def test_impossible_launches(launch, words):
    with pytest.raises(ConfigError) as caught:
        check_launch(Config(launch=LaunchConfig(**launch)))
    for word in words:
        assert word in str(caught.value)
