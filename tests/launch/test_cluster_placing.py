"""Where nodes go on a real Ray cluster, to which scripts connect."""

import json
import subprocess
import sys

import pytest
from ray_clusters import RayCluster

pytestmark = pytest.mark.slow

_SCRIPT = """
import json, sys
from distrl.config import LaunchConfig
from distrl.launch.cluster.connection import connect, list_machines, read_available
from distrl.launch.cluster.placing import Placement
connect(LaunchConfig(address=sys.argv[1]))
bundles, strategy, seconds = json.loads(sys.argv[2])
placement = Placement(bundles, strategy)
answer = placement.find(list(bundles), seconds)
answer["there"] = [machine.key for machine in list_machines()]
placement.release()
print(json.dumps(answer))
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


def test_nodes_are_spread_and_go_where_is_what_they_take(cluster):
    bundles = {
        "learner": {"GPU": 1.0},
        "evaluator": {"GPU": 1.0},
        "actor/0": {"far": 1.0},
    }
    found = place(cluster, bundles)
    keys = found["keys"]
    assert set(keys.values()) == set(found["there"])
    assert keys["learner"] == keys["evaluator"] != keys["actor/0"]
    # Each of the two has a GPU of its own; who takes none has no say in it.
    assert sorted(found["devices"].values()) == ["0", "1"]
    assert set(found["devices"]) == {"learner", "evaluator"}


@pytest.mark.parametrize(("strategy", "count"), [("spread", 2), ("pack", 1)])
def test_the_strategy_decides_on_how_many_machines(cluster, strategy, count):
    bundles = {f"actor/{i}": {"CPU": 0.5} for i in range(2)}
    found = place(cluster, bundles, strategy)
    assert len(set(found["keys"].values())) == count
    assert found["devices"] == {}


def test_what_has_no_place_side_by_side_is_told_after_the_time(cluster):
    # Three of the four CPUs, and no machine has three.
    assert place(cluster, {"actor/0": {"CPU": 3.0}}, seconds=1.0)["keys"] is None
