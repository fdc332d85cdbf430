"""Where nodes go on a real Ray cluster, to which scripts connect."""

import json
import subprocess
import sys

import pytest
from ray_clusters import RayCluster

pytestmark = pytest.mark.slow

_SCRIPT = """
import json, sys, time
from distrl.config import LaunchConfig
from distrl.launch.cluster.ray_connection import connect, list_machines
from distrl.launch.cluster.reservation import Reservation
connect(LaunchConfig(address=sys.argv[1]))
bundles, strategy, seconds = json.loads(sys.argv[2])
reservation = Reservation(bundles, strategy)
places = reservation.await_places(seconds, time.sleep)
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


def place(cluster, bundles, strategy="spread", seconds=60.0):
    request = json.dumps([bundles, strategy, seconds])
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, cluster.address, request],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nodes_are_spread_and_run_where_their_resources_are(cluster):
    bundles = {
        "learner": {"GPU": 1.0},
        "evaluator": {"GPU": 1.0},
        "actor/0": {"far": 1.0},
    }
    (keys, devices), machines = place(cluster, bundles)
    assert set(keys.values()) == set(machines)
    assert keys["learner"] == keys["evaluator"] != keys["actor/0"]
    # Each of the two has a GPU of its own; a node that takes none is not asked.
    assert sorted(devices.values()) == ["0", "1"]
    assert set(devices) == {"learner", "evaluator"}


@pytest.mark.parametrize(("strategy", "count"), [("spread", 2), ("pack", 1)])
def test_the_strategy_decides_on_how_many_machines(cluster, strategy, count):
    bundles = {f"actor/{i}": {"CPU": 0.5} for i in range(2)}
    (keys, devices), _ = place(cluster, bundles, strategy)
    assert len(set(keys.values())) == count
    assert devices == {}


def test_nodes_that_fit_on_no_machine_are_given_up_after_the_time(cluster):
    # Three of the four CPUs, and no machine has three.
    places, _ = place(cluster, {"actor/0": {"CPU": 3.0}}, seconds=1.0)
    assert places is None
