"""Small programs on a real Ray cluster: devices, failures, custom code, the doctor."""

import io
import json
import os
from pathlib import Path

import launchpad as lp
import pytest
from pythons import run_python
from ray_clusters import RayCluster

from distrl.config import Config, LaunchConfig
from distrl.launch import run
from distrl.telemetry.progress import Progress

MACHINES = (
    {"num_cpus": 1},
    {"num_cpus": 1, "num_gpus": 2, "resources": {"large": 9.0}},
)


@pytest.fixture(scope="module")
def cluster():
    started = RayCluster(*MACHINES)
    yield started
    started.close()


def launch(cluster, run_dir, program, resources, **fields):
    """Returns the outcome of a program on a cluster."""
    launch_config = LaunchConfig(
        backend="ray",
        address=cluster.address,
        resources=resources,
        stop_seconds=8.0,
        **fields,
    )
    config = Config(run_dir=str(run_dir), launch=launch_config)
    progress = Progress(io.StringIO())
    return run(config, program=program, progress=progress)


def looking(config, spec):
    """Makes a program whose nodes record what they see; the last one stops it."""
    run_dir = config.run_dir

    def look(name, last):
        seen = {key: os.environ.get(key) for key in ("CUDA_VISIBLE_DEVICES", "CARRIED")}
        Path(run_dir, f"{name}.json").write_text(json.dumps(seen))
        if last:
            while len(list(Path(run_dir).glob("*.json"))) < 4:  # program.json, too
                assert not lp.stop_event().wait(0.05)
            lp.stop()
        else:
            assert lp.stop_event().wait(120)

    del spec
    program = lp.Program("looking")
    for name in ("learner", "other", "third"):
        program.add_node(lp.PyNode(look, name, name == "third"), label=name)
    return program


def failing(config, spec):
    """Makes a program in which one node fails while the other waits."""
    del config, spec

    def fail():
        raise ValueError("the second one broke")

    program = lp.Program("failing")
    program.add_node(lp.PyNode(lambda: lp.stop_event().wait(120)), label="first")
    program.add_node(lp.PyNode(fail), label="second")
    return program


@pytest.mark.slow
def test_node_sees_only_devices_assigned_by_ray(tmp_path, cluster):
    free = cluster.read_free()
    resources = {
        "learner": {"num_gpus": 1},
        "other": {"large": 1},
        "third": {"num_gpus": 1, "num_cpus": 0},
    }
    carried = {"env_vars": {"CARRIED": "to the machines"}}
    run_dir = tmp_path / "run"
    outcome = launch(cluster, run_dir, looking, resources, runtime_env=carried)
    assert outcome.exit_code == 0, outcome.result
    seen = {n: json.loads((run_dir / f"{n}.json").read_text()) for n in resources}
    devices = {name: facts["CUDA_VISIBLE_DEVICES"] for name, facts in seen.items()}
    assert {devices["learner"], devices["third"]} == {"0", "1"}
    assert devices["other"] == ""
    assert {facts["CARRIED"] for facts in seen.values()} == {"to the machines"}
    cluster.assert_nothing_is_left()
    assert cluster.read_free() == free


@pytest.mark.slow
def test_failed_node_ends_nodes_on_other_machines(tmp_path, cluster):
    outcome = launch(cluster, tmp_path / "run", failing, {"second": {"large": 1}})
    assert outcome.exit_code == 1
    error = outcome.result["error"]
    assert error["node"] == "second"
    assert "ValueError: the second one broke" in error["traceback"]
    program = json.loads((tmp_path / "run" / "program.json").read_text())
    states = {node["name"]: node["state"] for node in program["nodes"]}
    assert states == {"first": "ended", "second": "failed"}


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
