"""The resources that a program needs, and the refusal of what does not fit."""

import pytest

from distrl.config import LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.cluster.demands import check_demands, list_demands
from distrl.launch.cluster.ray_connection import ClusterMachine

GROUPS = {"replay": 1, "learner": 1, "actor": 3}
SMALL = ClusterMachine("a", "10.0.0.1", {"CPU": 2.0, "memory": 1e9})
LARGE = ClusterMachine(
    "b", "10.0.0.2", {"CPU": 4.0, "GPU": 1.0, "memory": 1e9, "disk": 2.0}
)
AVAILABLE = {"CPU": 6.0, "GPU": 1.0, "memory": 2e9, "disk": 2.0}


def demand(**resources):
    return list_demands(LaunchConfig(resources=resources), GROUPS)


def test_resources_get_the_names_that_ray_has():
    wanted = demand(
        learner={"num_cpus": 1, "num_gpus": 0.5}, actor={"memory": 5, "x": 1}
    )
    assert wanted["learner"] == {"CPU": 1.0, "GPU": 0.5}
    assert wanted["actor"] == {"memory": 5.0, "x": 1.0}


def test_nothing_is_a_value_and_differs_from_the_default():
    wanted = demand(learner={"num_cpus": 0}, replay={})
    assert "CPU" not in wanted["learner"]
    assert wanted["replay"] == wanted["learner"]
    assert 0 < wanted["actor"]["CPU"] < 0.1
    # So a program fits on a machine whatever its number of actors.
    check_demands(wanted, {**GROUPS, "actor": 100}, [SMALL], SMALL.resources)


def test_an_unknown_group_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        demand(learners={"num_gpus": 1})
    assert "no group 'learners'" in str(caught.value)
    assert "Did you mean 'learner'?" in str(caught.value)


def test_what_fits_passes():
    wanted = demand(learner={"num_gpus": 1, "num_cpus": 3}, actor={"num_cpus": 0.7})
    check_demands(wanted, GROUPS, [SMALL, LARGE], AVAILABLE)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"learner": {"num_gpus": 2}},
            [
                "launch.resources.learner = {num_gpus: 2}: no machine",
                "10.0.0.1 has 0 num_gpus",
                "10.0.0.2 has 1 num_gpus",
            ],
        ),
        (
            {"actor": {"num_cpus": 2}, "learner": {"num_cpus": 1}},
            [
                "launch.resources.actor = {num_cpus: 2}",
                "3 nodes take 6 num_cpus",
                "4.99 num_cpus is left of the 6 num_cpus",
            ],
        ),
        (
            {"actor": {"disk": 1}},
            ["3 nodes take 3 disk", "2 disk is left of the 2 disk"],
        ),
        ({"replay": {"licence": 1}}, ["no machine", "10.0.0.1 has 0 licence"]),
    ],
)
def test_a_group_that_does_not_fit_is_named_with_what_is_short(resources, words):
    with pytest.raises(ConfigError) as caught:
        check_demands(demand(**resources), GROUPS, [SMALL, LARGE], AVAILABLE)
    for word in words:
        assert word in str(caught.value)


def test_nothing_fits_on_a_cluster_without_machines():
    with pytest.raises(ConfigError, match="no machines"):
        check_demands(demand(), GROUPS, [], {})
