"""Runs that lose their last checkpoint or a directory report it."""

import os
import shutil
import signal

import pytest
from integration.commands import ENDLESS, train

from distrl.checkpoints.layout import find_newest_checkpoint

# The saved replay is larger than this limit of a file.
SMALL_FILES = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash"]


@pytest.mark.parametrize(
    "backend", ["processes", pytest.param("serial", marks=pytest.mark.slow)]
)
def test_unsaved_last_checkpoint_is_reported(tmp_path, backend):
    flags = [*ENDLESS, f"--launch.backend={backend}", "--stop.learner_steps=1500"]
    run_dir = tmp_path / "run"
    with train(run_dir, *flags, wrapper=SMALL_FILES) as command:
        assert command.finish() == 0, command.stderr
    result = command.result
    assert result["checkpoint"] is None
    assert result["unsaved_learner_steps"] == result["learner_steps"] >= 1500
    assert result["failed_saves"] >= 1
    assert "note: the last checkpoint was not saved" in command.stderr


@pytest.mark.distributed
def test_unsaved_steps_are_reported_when_coordinator_is_killed(tmp_path):
    run_dir = tmp_path / "run"
    flags = [*ENDLESS, "--checkpoint.period_seconds=null", "--launch.restart=never"]
    with train(run_dir, *flags) as command:
        command.await_line("training")
        command.process.send_signal(signal.SIGTERM)
        command.await_line("stopping")
        os.kill(command.pid_of("coordinator"), signal.SIGKILL)
        assert command.finish() in (1, 143)
    found = find_newest_checkpoint(run_dir, pytest.fail)
    saved = 0 if found is None else found.progress.learner_steps
    unsaved = max(0, command.result["learner_steps"] - saved)
    assert command.result["unsaved_learner_steps"] == unsaved
    said = "the last checkpoint was not saved" in command.stderr
    assert said == (unsaved > 0)


@pytest.mark.parametrize(
    "lost",
    [
        "metrics",
        pytest.param("checkpoints", marks=pytest.mark.slow),
        pytest.param("logs", marks=pytest.mark.slow),
        pytest.param(".", marks=pytest.mark.slow),
    ],
)
def test_removed_directory_fails_run(tmp_path, lost):
    run_dir = tmp_path / "run"
    flags = [*ENDLESS, "--checkpoint.period_learner_steps=500"]
    with train(run_dir, *flags) as command:
        command.await_line("training")
        shutil.rmtree(run_dir / lost, ignore_errors=True)
        assert command.finish() == 1, command.stderr
        command.assert_nothing_is_left()
    assert "was removed or renamed while the run worked in it" in command.stderr
    if lost != ".":
        assert command.result["status"] == "failed"
    for name in ("checkpoints", "logs"):
        if (run_dir / name).exists():
            assert (run_dir / name).stat().st_mode & 0o077 == 0, name
