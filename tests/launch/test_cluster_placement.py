"""Resource demands of a program, and placement on a real Ray cluster."""

import json

import pytest
from pythons import run_python
from ray_clusters import RayCluster

from distrl.config import LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.cluster.placement import check_demands, list_demands
from distrl.launch.cluster.ray_connection import ClusterMachine

GROUPS = {"replay": 1, "learner": 1, "actor": 3}
SMALL = ClusterMachine("a", "10.0.0.1", {"CPU": 2.0, "memory": 1e9})
LARGE = ClusterMachine(
    "b", "10.0.0.2", {"CPU": 4.0, "GPU": 1.0, "memory": 1e9, "disk": 2.0}
)
AVAILABLE = {"CPU": 6.0, "GPU": 1.0, "memory": 2e9, "disk": 2.0}


def demand(**resources):
    return list_demands(LaunchConfig(resources=resources), GROUPS)


def test_zero_or_empty_resources_override_default():
    wanted = demand(learner={"num_cpus": 0}, replay={})
    assert "CPU" not in wanted["learner"]
    assert wanted["replay"] == wanted["learner"]
    assert 0 < wanted["actor"]["CPU"] < 0.1
    # The small default lets many actors share a machine.
    check_demands(wanted, {**GROUPS, "actor": 100}, [SMALL], SMALL.resources)


def test_resources_are_translated_to_ray_names_and_accepted_if_they_fit():
    learner, actor = {"num_cpus": 3, "num_gpus": 1}, {"num_cpus": 0.5, "disk": 0.5}
    wanted = demand(learner=learner, actor=actor)
    assert wanted["learner"] == {"CPU": 3.0, "GPU": 1.0}
    assert wanted["actor"] == {"CPU": 0.5, "disk": 0.5}
    check_demands(wanted, GROUPS, [SMALL, LARGE], AVAILABLE)


def test_unknown_group_is_refused_with_nearest_name():
    with pytest.raises(ConfigError, match="no group 'learners'.*'learner'"):
        demand(learners={"num_gpus": 1})


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"learner": {"num_gpus": 2}},
            "launch.resources.learner = {num_gpus: 2}: no machine of the cluster has "
            "that. 10.0.0.1 has {num_gpus: 0}; 10.0.0.2 has {num_gpus: 1}.",
        ),
        (
            {"actor": {"num_cpus": 2}, "learner": {"num_cpus": 1}},
            "launch.resources.actor = {num_cpus: 2}: 3 nodes take {num_cpus: 6}, and "
            "{num_cpus: 4.99} is left of the {num_cpus: 6}",
        ),
        ({"replay": {"license": 1}}, "10.0.0.1 has {license: 0}"),
    ],
)
def test_group_short_of_resources_is_refused(resources, words):
    with pytest.raises(ConfigError) as caught:
        check_demands(demand(**resources), GROUPS, [SMALL, LARGE], AVAILABLE)
    assert words in str(caught.value)


_SCRIPT = """
import json, sys, time
from distrl.config import LaunchConfig
from distrl.launch.cluster.placement import Reservation
from distrl.launch.cluster.ray_connection import connect, list_machines
bundles, strategy = json.loads(sys.argv[2])
with connect(LaunchConfig(address=sys.argv[1])):
    reservation = Reservation(bundles, strategy)
    while (places := reservation.read_places(60)) is None:
        time.sleep(0.05)
    reservation.release()
    machines = [machine.key for machine in list_machines()]
print(json.dumps([places, machines]))
"""


@pytest.fixture(scope="module")
def cluster():
    made = RayCluster(
        {"num_cpus": 2, "num_gpus": 2}, {"num_cpus": 2, "resources": {"far": 1.0}}
    )
    yield made
    made.close()


def place(cluster, bundles, strategy="spread"):
    request = json.dumps([bundles, strategy])
    done = run_python("-c", _SCRIPT, cluster.address, request)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_nodes_are_placed_where_their_resources_are(cluster):
    bundles = {
        "learner": {"GPU": 1.0},
        "evaluator": {"GPU": 1.0},
        "actor/0": {"far": 1.0},
    }
    (keys, devices), machines = place(cluster, bundles)
    assert set(keys.values()) == set(machines)
    assert keys["learner"] == keys["evaluator"] != keys["actor/0"]
    # Each of the two has its own GPU; a node without one has no variables.
    assert set(devices) == {"learner", "evaluator"}
    seen = [variables["CUDA_VISIBLE_DEVICES"] for variables in devices.values()]
    assert sorted(seen) == ["0", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "count"), [("spread", 2), ("pack", 1)])
def test_strategy_decides_number_of_machines(cluster, strategy, count):
    bundles = {f"actor/{i}": {"CPU": 0.5} for i in range(2)}
    (keys, devices), _ = place(cluster, bundles, strategy)
    assert len(set(keys.values())) == count
    assert devices == {}
