"""`distrl resume` of runs that are done, stopped or killed."""

import json
import os
import signal
import threading

import jax
import numpy as np
import pytest
from integration import commands
from integration.commands import resume, train

from distrl.checkpoints.layout import find_newest_checkpoint
from distrl.config import load_run
from distrl.environments import read_spec
from distrl.serial import run_serial

FLAGS = [*commands.ENDLESS, "--launch.metrics_seconds=0.25"]


def read_rows(run_dir, node):
    rows = commands.read_rows(run_dir, node)
    # A second header would be a row that repeats the names of its columns.
    assert all(row["time"] != "time" for row in rows)
    return rows


def find_progress(run_dir):
    return find_newest_checkpoint(run_dir, pytest.fail).progress


def await_checkpoint(command, learner_steps):
    """Waits for a complete checkpoint of more learner steps; returns its progress."""

    def read():
        newest = find_newest_checkpoint(command.run_dir, print)
        is_new = newest is not None and newest.progress.learner_steps > learner_steps
        return newest.progress if is_new else None

    return command.await_value(read)


def assert_refused(run_dir, words, *flags):
    with resume(run_dir, *flags) as command:
        assert command.finish() == 2
    assert words in command.stderr
    assert len(command.stderr.splitlines()) == 1


def assert_continues(run_dir, rows_before, progress):
    """Checks that the rows of a session begin at the counts of a checkpoint."""
    rows = read_rows(run_dir, "coordinator")[rows_before:]
    for column in ("seconds", "env_steps", "learner_steps", "episodes"):
        values = [float(row[column]) for row in rows]
        assert values == sorted(values), column
        assert getattr(progress, column) <= values[0] <= values[-1], column
    # Replay was restored, so the learner did not wait until it was filled.
    sizes = [float(row["replay_size"]) for row in rows if row["replay_size"]]
    assert sizes[0] >= 1_000


def restore(run_dir):
    """Returns the state from which a serial run would continue."""
    stop = threading.Event()
    stop.set()
    config = load_run(str(run_dir))
    return run_serial(config, read_spec(config.environment, {}), stop)


def test_resumed_serial_run_is_bitwise_identical(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    flags = [*FLAGS, "--launch.backend=serial", "--learner.devices=1"]
    flags += ["--checkpoint.period_learner_steps=1000"]
    with train(whole, *flags, "--stop.learner_steps=2000") as command:
        assert command.finish() == 0, command.stderr
    with train(parts, *flags, "--stop.learner_steps=1000") as command:
        assert command.finish() == 0, command.stderr
    with resume(parts, "--stop.learner_steps=2000") as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    assert result == json.loads(command.stdout)
    assert (result["status"], result["learner_steps"]) == ("done", 2_000)
    assert "resuming from checkpoint 000001 of learner step 1,000" in command.stderr
    first, second = restore(whole), restore(parts)
    assert first.counts == second.counts
    assert first.counts.learner_steps == 2_000
    jax.tree.map(np.testing.assert_array_equal, first, second)
    for node, column in (("evaluator", "mean_return"), ("learner", "loss")):
        rows = {
            (row["learner_steps"], row[column])
            for each in (whole, parts)
            for row in read_rows(each, node)
        }
        # The run that ended at step 1,000 may have one more row, of that step.
        assert len(rows) - len(read_rows(whole, node)) in (0, 1)


def test_done_and_killed_runs_are_resumed(tmp_path):
    run_dir = tmp_path / "run"
    flags = ["--checkpoint.period_learner_steps=1000", "--checkpoint.keep=9"]
    with train(run_dir, *FLAGS, *flags, "--stop.learner_steps=2000") as command:
        assert command.finish() == 0, command.stderr
    done = find_progress(run_dir)
    assert done.learner_steps == command.result["learner_steps"] >= 2_000
    assert done.env_steps == command.result["env_steps"]
    rows_before = len(read_rows(run_dir, "coordinator"))
    assert_refused(run_dir, "nothing left to do")
    assert_refused(run_dir, "network.factory = 'conv'", "--network.factory=conv")

    with resume(run_dir, "--stop.learner_steps=null") as command:
        command.await_line(f"learner step {done.learner_steps:,}")
        command.await_line("training")
        assert_refused(run_dir, "is in use")
        saved = await_checkpoint(command, done.learner_steps)
        os.kill(command.process.pid, signal.SIGKILL)
        command.finish()
        command.assert_nothing_is_left(seconds=10)
    assert saved.sessions == 2
    assert not (run_dir / "result.json").exists()
    assert_continues(run_dir, rows_before, done)

    rows_before = len(read_rows(run_dir, "coordinator"))
    newest = find_progress(run_dir)
    goal = newest.learner_steps + 1_000
    with resume(run_dir, f"--stop.learner_steps={goal}") as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    result = command.result
    assert (result["status"], result["error"]) == ("done", None)
    assert result["learner_steps"] >= goal
    assert result["env_steps"] > newest.env_steps > done.env_steps
    assert result["episodes"] > newest.episodes > done.episodes
    assert find_progress(run_dir).sessions == 3
    assert result["best_return"] >= done.best_return
    assert_continues(run_dir, rows_before, newest)
    for node in ("learner", "actor/0", "evaluator"):
        assert read_rows(run_dir, node)
    configs = sorted(path.name for path in run_dir.glob("config*.yaml"))
    assert configs == ["config-1.yaml", "config-2.yaml", "config.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "threads", "launchpad"])
def test_run_stopped_by_sigterm_is_resumed(tmp_path, backend):
    run_dir = tmp_path / "run"
    flags = [*FLAGS, f"--launch.backend={backend}"]
    with train(run_dir, *flags) as command:
        command.await_line("training")
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 143
    stopped = find_progress(run_dir)
    assert stopped.learner_steps == command.result["learner_steps"] > 0
    goal = stopped.learner_steps + 500
    with resume(run_dir, f"--stop.learner_steps={goal}") as command:
        assert command.finish() == 0, command.stderr
        command.assert_nothing_is_left()
    assert command.result["status"] == "done"
    assert command.result["learner_steps"] >= goal
    assert command.result["env_steps"] > stopped.env_steps
