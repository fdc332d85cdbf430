"""Nodes that die or hang in a training run are restarted."""

import contextlib
import json
import os
import signal
import time

import pytest
from integration.commands import read_rows, train

pytestmark = pytest.mark.distributed
# The first evaluation, which solves the run, comes after a restart.
LONGER = ["--stop.env_steps=null", "--evaluation.period=6000"]
LONGER += ["--launch.metrics_seconds=0.25"]
KILLED = "was killed by SIGKILL"
STOPPED = "gave no sign of life for 8 s (launch.silent_seconds)"


def await_checkpoint(command):
    """Waits for a complete checkpoint and returns its counts."""

    def read():
        for path in command.run_dir.glob("checkpoints/[0-9]*/progress.json"):
            # It may have been removed for newer ones meanwhile.
            with contextlib.suppress(FileNotFoundError):
                return json.loads(path.read_text())
        return None

    return command.await_value(read, seconds=60)


def strike(command, number, victims):
    """Signals the victims and waits until they have been restarted."""
    pids = {name: command.pid_of(name) for name in victims}
    for pid in pids.values():
        os.kill(pid, number)
    for _ in victims:
        command.await_line("restarted (1)")
    for name, pid in pids.items():
        assert command.pid_of(name) != pid


def finish_solved(command, victims, cause):
    """Checks that the run is solved; returns when each node was restarted."""
    assert command.finish(timeout=240) == 0, command.stderr
    command.assert_nothing_is_left()
    result = command.result
    assert (result["status"], result["error"]) == ("done", None)
    assert result["evaluation_return"] >= 0.95
    assert result["restarts"] == dict.fromkeys(victims, 1)
    rows = read_rows(command.run_dir, "launcher")
    assert {row["node"]: (row["cause"], row["restarts"]) for row in rows} == {
        name: (cause, "1") for name in victims
    }
    return {row["node"]: float(row["time"]) for row in rows}


def assert_follows(run_dir, actor, since):
    """Fails unless an actor got newer params after a time."""
    rows = [row for row in read_rows(run_dir, actor) if float(row["time"]) > since]
    assert int(rows[-1]["learner_steps"]) > int(rows[0]["learner_steps"])


def test_killed_actor_is_restarted_and_acts(tmp_path):
    longer = [*LONGER, "--evaluation.period=12000"]
    with train(tmp_path / "run", *longer) as command:
        command.await_line("training")
        strike(command, signal.SIGKILL, ["actor/1"])
        restarted = finish_solved(command, ["actor/1"], KILLED)
    rows = read_rows(tmp_path / "run", "actor/1")
    assert float(rows[-1]["time"]) > restarted["actor/1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "victims",
    [["relay/0"], ["variables"], ["variables", "relay/0", "relay/1"]],
    ids="+".join,
)
def test_actors_get_params_after_service_or_relay_restart(tmp_path, victims):
    flags = [*LONGER, "--evaluation.period=12000", "--variables.relays=2"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        strike(command, signal.SIGKILL, victims)
        restarted = finish_solved(command, victims, KILLED)
    # Each actor has its own relay.
    for actor in ("actor/0", "actor/1"):
        assert_follows(command.run_dir, actor, max(restarted.values()))


@pytest.mark.parametrize(
    "victims",
    [["variables"]]
    + [
        pytest.param(names, marks=pytest.mark.slow)
        for names in (
            ["learner"],
            ["replay/0"],
            ["coordinator"],
            ["evaluator"],
            ["actor/0", "actor/1"],
            ["learner", "replay/0"],
            ["replay/0", "replay/1"],
            ["coordinator", "variables"],
            ["learner", "coordinator"],
        )
    ],
    ids="+".join,
)
def test_killed_nodes_restart_from_newest_checkpoint(tmp_path, victims):
    flags = [*LONGER, "--evaluation.period=12000"]
    flags += ["--checkpoint.period_learner_steps=500"]
    flags += ["--replay.shards=2"] * ("replay/1" in victims)
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        counts = await_checkpoint(command)
        struck = time.time()
        strike(command, signal.SIGKILL, victims)
        finish_solved(command, victims, KILLED)
    after = [
        row
        for row in read_rows(tmp_path / "run", "coordinator")
        if float(row["time"]) > struck
    ]
    for name in ("learner_steps", "env_steps", "episodes"):
        assert min(int(row[name]) for row in after) >= counts[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    # Without one actor the others continue, and must not finish too early.
    ("victim", "period"),
    [("actor/1", 40_000), ("learner", 6_000), ("replay/0", 6_000)],
)
def test_frozen_node_is_killed_and_restarted(tmp_path, victim, period):
    flags = [*LONGER, f"--evaluation.period={period}", "--launch.silent_seconds=8"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        strike(command, signal.SIGSTOP, [victim])
        finish_solved(command, [victim], STOPPED)


@pytest.mark.slow
@pytest.mark.parametrize("relays", [0, 2])
def test_stale_actors_are_reported(tmp_path, relays):
    flags = [f"--variables.relays={relays}", "--variables.stale_seconds=5"]
    flags += ["--launch.metrics_seconds=0.25"]
    # The run must outlast the absence of the service.
    flags += ["--stop.env_steps=null", "--stop.evaluation_return=null"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        pid = command.pid_of("variables")
        os.kill(pid, signal.SIGSTOP)
        command.await_line("older than those of the variable service; more than 5 s")
        os.kill(pid, signal.SIGCONT)
        command.await_line("all actors have new parameters again")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130, command.stderr
    assert command.result["restarts"] == {}
    rows = read_rows(tmp_path / "run", "coordinator")
    assert max(float(row["staleness_seconds"] or 0) for row in rows) > 5


@pytest.mark.slow
def test_hanging_environment_step_fails_run(tmp_path):
    """Every incarnation of the actors hangs, so the run fails in the end."""
    flags = [*LONGER, "--environment=broken_environments:stick"]
    flags += ["--launch.silent_seconds=5", "--launch.max_restarts=1"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("restarted (1)")
        assert command.finish(timeout=240) == 1
        command.assert_nothing_is_left()
    error = command.result["error"]
    assert error["node"].startswith("actor/")
    assert "launch.max_restarts" in error["traceback"]
    assert "main thread did not get on for 5 s" in error["traceback"]
    # The traceback shows where it hangs.
    assert "in _step" in error["traceback"]
