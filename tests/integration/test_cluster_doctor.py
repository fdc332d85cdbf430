"""`distrl doctor --cluster` on a real Ray cluster: two machines that are both here."""

import json
import subprocess
import sys

import pytest
from ray.cluster_utils import Cluster


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_every_machine_is_checked(cluster):
    command = ["-m", "distrl", "doctor", "--cluster", cluster.address, "--json"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=240
    )
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (0, True), done.stdout
    # Ray's own advice to its users is not for ours.
    assert done.stderr == ""
    findings = {each["name"]: each for each in answer["findings"]}
    host = cluster.address.partition(":")[0]
    kinds = ("versions", "devices", "clock", "ports")
    named = {f"{host}#{number} {kind}" for number in (1, 2) for kind in kinds}
    assert set(findings) == {"cluster", *named}
    assert findings["cluster"]["found"].startswith("2 machines")
    assert "CPU" in findings[f"{host}#1 devices"]["found"].upper()
    assert findings[f"{host}#2 ports"]["found"] == "reaches all of 1 others"


def test_what_is_no_cluster_is_refused(cluster):
    host, _, port = cluster.address.partition(":")
    command = ["-m", "distrl", "doctor", "--cluster", f"{host}:1"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "nobody listens there" in done.stderr
    assert done.stdout == ""
