"""The fields of a run on a cluster."""

import pytest

from distrl.config import LaunchConfig
from distrl.config.cluster import check_cluster
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    "launch",
    [
        LaunchConfig(),
        LaunchConfig(address="auto"),
        LaunchConfig(address="10.0.0.1:6379"),
        LaunchConfig(resources={"actor": {"num_cpus": 0}, "learner": {}}),
        LaunchConfig(resources={"learner": {"num_gpus": 0.5, "licence": 2}}),
    ],
)
def test_what_a_cluster_may_be_asked_for(launch):
    check_cluster(launch)


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        (
            LaunchConfig(address="ray://10.0.0.1:10001"),
            ["launch.address = 'ray://10.0.0.1:10001'", "10.0.0.1:6379"],
        ),
        (
            LaunchConfig(address="10.0.0.1"),
            ["launch.address = '10.0.0.1'", "host:port"],
        ),
        (LaunchConfig(address="head:0"), ["launch.address = 'head:0'"]),
        (LaunchConfig(address=""), ["launch.address = ''", "null"]),
        (
            LaunchConfig(resources={"learner": 1}),
            ["launch.resources.learner = 1", "mapping"],
        ),
        (
            LaunchConfig(resources={"learner": {"num_gpus": "1"}}),
            ["launch.resources.learner.num_gpus = '1'", "a number"],
        ),
        (
            LaunchConfig(resources={"learner": {"num_cpus": -1}}),
            ["launch.resources.learner.num_cpus = -1", "at least 0"],
        ),
        (
            LaunchConfig(resources={"learner": {"licence": True}}),
            ["launch.resources.learner.licence = true", "a number"],
        ),
        (
            LaunchConfig(resources={"learner": {"num_gpus": 1.5}}),
            ["launch.resources.learner.num_gpus = 1.5", "whole GPUs"],
        ),
        (
            LaunchConfig(resources={"learner": {"num_gpu": 1}}),
            ["launch.resources.learner.num_gpu = 1", "Did you mean 'num_gpus'?"],
        ),
    ],
)
def test_what_it_may_not_be_asked_for(launch, words):
    with pytest.raises(ConfigError) as caught:
        check_cluster(launch)
    for word in words:
        assert word in str(caught.value)
