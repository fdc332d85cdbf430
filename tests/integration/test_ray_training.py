"""Training on a Ray cluster of several machines: solved, stopped, resumed, killed."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from integration.commands import ENDLESS, resume, train
from ray_clusters import RayCluster

pytestmark = pytest.mark.distributed
# The head runs no nodes.
MACHINES = (
    {"num_cpus": 1},
    {"num_cpus": 2, "resources": {"services": 9.0, "learning": 9.0}},
    {"num_cpus": 2, "resources": {"acting": 9.0}},
)
PLACES = (
    "--launch.resources={variables: {services: 1}, coordinator: {services: 1}, "
    "replay: {services: 1}, learner: {learning: 1}, actor: {acting: 1}, "
    "evaluator: {acting: 1}}"
)


@pytest.fixture(scope="module")
def cluster():
    started = RayCluster(*MACHINES, module_paths=(str(Path(__file__).parent),))
    yield started
    started.close()


def on(cluster, *flags):
    return ["--launch.backend=ray", f"--launch.address={cluster.address}", *flags]


def assert_ends(command, cluster, number, code):
    """Checks that a signal ends a run within 10 s and leaves no process."""
    asked = time.monotonic()
    command.process.send_signal(number)
    assert command.finish() == code
    assert time.monotonic() - asked < 10
    command.assert_nothing_is_left()
    cluster.assert_nothing_is_left()
    assert "Traceback" not in command.stderr


def test_two_machines_solve_catch(tmp_path, cluster):
    free = cluster.read_free()
    with train(tmp_path / "run", *on(cluster, PLACES)) as command:
        command.await_line("importing JAX, TensorFlow and Reverb on 2 machines")
        command.await_line("filling replay")
        parents = {
            name: psutil.Process(node["pid"]).ppid()
            for name, node in command.nodes.items()
        }
        assert command.finish(timeout=240) == 0, command.stderr
        command.assert_nothing_is_left()
        cluster.assert_nothing_is_left()
    result = command.result
    assert (result["status"], result["error"]) == ("done", None)
    assert result["evaluation_return"] >= 0.95
    # Each machine forked its own nodes.
    called = ("variables", "coordinator", "replay/0")
    services = {parents[n] for n in (*called, "learner")}
    workers = {parents[n] for n in ("actor/0", "actor/1", "evaluator")}
    assert (len(services), len(workers), len(services | workers)) == (1, 1, 2)
    assert {node["state"] for node in command.nodes.values()} == {"ended"}
    for name, node in command.nodes.items():
        assert (node["address"] is not None) == (name in called)
        if name in called:
            assert node["address"].startswith(f"{node['machine']}:")
    assert "not isolated (the machines of a cluster" in command.stderr
    assert cluster.read_free() == free


@pytest.mark.slow
def test_run_stopped_by_signal_is_resumed(tmp_path, cluster):
    run_dir = tmp_path / "run"
    with train(run_dir, *ENDLESS, *on(cluster, PLACES)) as command:
        command.await_line("training")
        assert_ends(command, cluster, signal.SIGTERM, 143)
    assert command.result["status"] == "stopped"
    before = command.result["learner_steps"]
    assert before > 0
    with resume(run_dir, f"--stop.learner_steps={before + 100}") as command:
        assert command.finish(timeout=240) == 0, command.stderr
        cluster.assert_nothing_is_left()
    assert f"learner step {before}" in command.stderr.replace(",", "")
    assert command.result["learner_steps"] >= before + 100


@pytest.mark.slow
def test_signal_stops_run_while_machines_import(tmp_path, cluster):
    with train(tmp_path / "run", *ENDLESS, *on(cluster, PLACES)) as command:
        command.await_line("importing JAX, TensorFlow and Reverb on 2 machines")
        assert_ends(command, cluster, signal.SIGINT, 130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_user_code_is_carried_to_machines(tmp_path, cluster):
    """The code is on the search path of neither the command nor Ray."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "carried_catch.py").write_text(
        "import bsuite\n\n\ndef make(seed=0):\n"
        "    del seed\n    return bsuite.load_from_id('catch/0')\n"
    )
    flags = [*ENDLESS, "--environment=carried_catch:make", "--stop.learner_steps=100"]
    flags += [f"--launch.runtime_env={{working_dir: {code}}}"]
    with train(tmp_path / "run", *flags, *on(cluster, PLACES)) as command:
        assert command.finish(timeout=180) == 0, command.stderr
    assert command.result["learner_steps"] >= 100


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["front", "host"])
def test_killed_front_or_host_leaves_no_process(tmp_path, cluster, victim):
    flags = [*ENDLESS, "--environment=broken_environments:spawn"]
    with train(tmp_path / "run", *flags, *on(cluster, PLACES)) as command:
        command.await_line("training")
        assert len(cluster.left_running()) > 2
        pid = command.process.pid if victim == "front" else command.host_pid()
        os.kill(pid, signal.SIGKILL)
        command.finish()
        command.assert_nothing_is_left()
        cluster.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (
            "--launch.resources={learner: {num_gpus: 1}}",
            "launch.resources.learner = {num_gpus: 1}: no machine",
        ),
        ("--launch.address=127.0.0.1:1", "nothing listens there"),
        ("--environment=bsuite:cacth/0", "Did you mean 'catch'?"),
    ],
)
def test_unusable_flags_are_refused_before_start(tmp_path, cluster, flag, words):
    with train(tmp_path / "run", *on(cluster), flag) as command:
        assert command.finish() == 2
        command.assert_nothing_is_left()
        cluster.assert_nothing_is_left()
    assert len([x for x in command.stderr.splitlines() if "error:" in x]) == 1
    assert words in command.stderr
    assert "Traceback" not in command.stderr
    assert list(tmp_path.iterdir()) == []
