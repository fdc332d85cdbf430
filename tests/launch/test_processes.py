"""The processes backend, which forks a process for each node."""

import os
import socket

import psutil
import pytest
import tiny_programs
from integration.commands import can_isolate
from launched import launch

from distrl.checkpoints.layout import RunProgress, begin_part, complete_checkpoint
from distrl.errors import ConfigError


def test_nodes_have_own_processes_logs_and_devices(tmp_path):
    # A run that was started twice before: this is its second resume.
    (tmp_path / "config.yaml").touch()
    begin_part(tmp_path, "000001", "learner").mkdir()
    complete_checkpoint(tmp_path, "000001", RunProgress(sessions=2), keep=1)
    run = launch(tmp_path, tiny_programs.stopping, resume=True)
    assert run.exit_code == 0
    nodes = run.nodes
    assert set(run.states.values()) == {"ended"}
    assert nodes["doubler"]["address"].startswith("localhost:")
    assert nodes["actor/0"]["address"] is None
    pids = {name: node["pid"] for name, node in nodes.items()}
    assert len(set(pids.values())) == 4
    assert not any(psutil.pid_exists(pid) for pid in pids.values())

    learner = run.read("learner")
    assert (learner["answer"], learner["actions"]) == (42, 3)
    # The learner sees all devices; an actor computes on the CPU.
    assert learner["jax_platforms"] == os.environ.get("JAX_PLATFORMS")
    session = learner["session"]
    assert (session["number"], session["restarts"]) == (2, 0)
    assert len(session["id"]) == 32
    for index in range(2):
        actor = run.read(f"actor{index}")
        assert actor["session"] == session
        assert (actor["jax_platforms"], actor["jax"]) == ("cpu", "cpu")
        assert actor["main"]
    inside = learner["network"] != os.readlink("/proc/self/ns/net")
    assert inside == (can_isolate())
    log = (tmp_path / "logs" / "learner.log").read_text()
    assert "learned something\nand complained\n" in log
    assert (tmp_path / "logs" / "actor" / "1.log").exists()


@pytest.mark.parametrize("backend", ["processes", "launchpad"])
def test_failed_node_ends_run_and_is_named(tmp_path, backend):
    run = launch(tmp_path, tiny_programs.failing, backend=backend)
    run.assert_failed("second")
    last = run.result["error"]["traceback"].splitlines()[-1]
    assert last == "ValueError: the second one broke"
    assert run.states == {"first": "ended", "second": "failed"}
    log = (tmp_path / "logs" / "second.log").read_text()
    assert "ValueError: the second one broke" in log


def test_node_that_fails_during_stop_fails_run(tmp_path):
    run = launch(tmp_path, tiny_programs.failing_late)
    run.assert_failed("first", "could not let go")
    assert run.states["second"] == "ended"


@pytest.mark.parametrize(
    ("backend", "program", "state", "words"),
    [
        (
            "processes",
            tiny_programs.ending,
            "ended",
            ["exit code 0, while the run continued", "my last word", "second.log"],
        ),
        ("processes", tiny_programs.exiting, "failed", ["exit code 7", "second.log"]),
        ("launchpad", tiny_programs.ending, "failed", ["while the run continued"]),
    ],
)
def test_node_that_ends_by_itself_fails_run(tmp_path, backend, program, state, words):
    run = launch(tmp_path, program, backend=backend, stop_seconds=2.0)
    run.assert_failed("second", "ended by itself", *words)
    assert run.states == {"first": "ended", "second": state}


TWO_DEVICES = "--xla_force_host_platform_device_count=2"


def test_groups_get_their_configured_environment(tmp_path):
    environment = {
        "learner": {"XLA_FLAGS": TWO_DEVICES, "WORD": "yes"},
        "mine": {"JAX_ENABLE_X64": 1, "WORD": 7},
    }
    run = launch(tmp_path, tiny_programs.placed, environment=environment)
    assert run.exit_code == 0, run.result["error"]
    note = run.read("learner")
    assert (note["devices"], note["word"]) == (2, "yes")
    note = run.read("mine")
    assert (note["dtype"], note["word"]) == ("float64", "7")
    nodes = run.nodes
    assert nodes["learner"]["jax_devices"] == "2 x cpu"
    assert nodes["learner"]["device_variables"]["XLA_FLAGS"] == TWO_DEVICES
    assert nodes["mine"]["device_variables"]["JAX_PLATFORMS"] == "cpu"
    assert {node["host"] for node in nodes.values()} == {socket.gethostname()}
    assert all(node["memory_mib"] > 0 for node in nodes.values())


def test_batch_size_is_checked_against_learner_devices(tmp_path):
    flags = "--xla_force_host_platform_device_count=3"
    environment = {"learner": {"XLA_FLAGS": flags}}
    with pytest.raises(ConfigError, match="learner.batch_size = 256.*multiple of.* 3"):
        launch(tmp_path / "run", tiny_programs.placed, environment=environment)
    assert not (tmp_path / "run").exists()


def test_group_missing_from_program_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="environment.mines.*Did you mean 'mine'"):
        launch(tmp_path, tiny_programs.placed, environment={"mines": {"WORD": 1}})
    assert not (tmp_path / "program.json").exists()
