"""Small programs on a real Ray cluster: devices, failures, custom code, the doctor."""

import functools
import json
import os
from pathlib import Path

import launchpad as lp
import pytest
from launch.launched import launch
from launch.tiny_programs import await_files, combine, failing, wait_for_stop
from pythons import run_python
from ray_clusters import RayCluster

MACHINES = (
    {"num_cpus": 1},
    {"num_cpus": 1, "num_gpus": 2, "resources": {"large": 9.0}},
)


@pytest.fixture(scope="module")
def cluster():
    started = RayCluster(*MACHINES)
    yield started
    started.close()


def launch_on(cluster, run_dir, program, resources, **fields):
    cluster_fields = {"backend": "ray", "address": cluster.address, **fields}
    return launch(
        run_dir, program, resources=resources, stop_seconds=8.0, **cluster_fields
    )


def looking(config, spec):
    """Makes a program whose nodes record what they see; the last one stops it."""

    def look(name):
        seen = {key: os.environ.get(key) for key in ("CUDA_VISIBLE_DEVICES", "CARRIED")}
        Path(config.run_dir, f"{name}.json").write_text(json.dumps(seen))
        if name == "third":
            await_files(config, "learner.json", "other.json")
            lp.stop()
        wait_for_stop()

    names = ("learner", "other", "third")
    return combine(**{name: functools.partial(look, name) for name in names})


@pytest.mark.slow
def test_node_sees_only_devices_assigned_by_ray(tmp_path, cluster):
    free = cluster.read_free()
    resources = {
        "learner": {"num_gpus": 1},
        "other": {"large": 1},
        "third": {"num_gpus": 1, "num_cpus": 0},
    }
    carried = {"env_vars": {"CARRIED": "to the machines"}}
    run = launch_on(cluster, tmp_path, looking, resources, runtime_env=carried)
    assert run.exit_code == 0, run.result
    seen = {name: run.read(name) for name in resources}
    devices = {name: facts["CUDA_VISIBLE_DEVICES"] for name, facts in seen.items()}
    assert {devices["learner"], devices["third"]} == {"0", "1"}
    assert devices["other"] == ""
    assert {facts["CARRIED"] for facts in seen.values()} == {"to the machines"}
    cluster.assert_nothing_is_left()
    assert cluster.read_free() == free


@pytest.mark.slow
def test_failed_node_ends_nodes_on_other_machines(tmp_path, cluster):
    run = launch_on(cluster, tmp_path, failing, {"second": {"large": 1}})
    run.assert_failed("second", "ValueError: the second one broke")
    assert run.states == {"first": "ended", "second": "failed"}


def test_doctor_examines_every_machine(cluster):
    arguments = ["doctor", f"--cluster={cluster.address}", "--json"]
    done = run_python("-m", "distrl", *arguments, timeout=280)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (0, True), answer
    names = [row["name"] for row in answer["findings"]]
    for what in ("distrl", "versions", "dm-reverb", "JAX devices", "clock", "ports"):
        assert len([name for name in names if name.endswith(f" {what}")]) == 2
    ports = [r["found"] for r in answer["findings"] if r["name"].endswith(" ports")]
    assert ports == ["reaches a port of each of 2 machines"] * 2
