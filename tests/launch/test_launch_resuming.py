"""Resuming: the choice of a checkpoint, damaged checkpoints and refusals."""

import contextlib
import dataclasses
import os

import pytest

from distrl.checkpoints import manifest
from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    list_checkpoints,
)
from distrl.config import Config, StopConfig, config_to_yaml
from distrl.errors import ConfigError
from distrl.launch.resuming import (
    begin_resumption,
    discard_leftovers,
    judge_checkpoints,
)
from distrl.launch.run_directory import RunDirectory, lock_run_dir
from distrl.telemetry.status import Status

PROGRESS = RunProgress(
    seconds=30.0,
    env_steps=4_000,
    learner_steps=1_500,
    episodes=40,
    evaluation_return=0.5,
    evaluation_step=1_400,
    best_return=0.75,
    sessions=2,
)


@pytest.fixture
def run_dir(tmp_path):
    made = RunDirectory(tmp_path)
    made.make_ready(config_yaml=config_to_yaml(Config()))
    made.close()
    return tmp_path


def begin(run_dir, *, seed=1, **stop):
    """Begins to resume with stop conditions; returns the checkpoint and the notes."""
    notes, directory = [], RunDirectory(run_dir)
    config = Config(run_dir=str(run_dir), seed=seed, stop=StopConfig(**stop))
    with contextlib.closing(directory):
        checkpoint = begin_resumption(config, directory, notes.append)
        with pytest.raises(ConfigError, match="in use"):
            lock_run_dir(run_dir)
    return checkpoint, notes


def save(run_dir, name, **changes):
    begin_part(run_dir, name, "learner").mkdir()
    progress = dataclasses.replace(PROGRESS, **changes)
    return complete_checkpoint(run_dir, name, progress, keep=5).path


def test_resume_starts_from_newest_checkpoint(run_dir):
    save(run_dir, "000001")
    saved = save(run_dir, "000002", learner_steps=2_500, sessions=3)
    checkpoint, notes = begin(run_dir)
    assert checkpoint.path == saved
    assert checkpoint.progress.sessions == 3
    assert notes == [
        "resuming from checkpoint 000002 of learner step 2,500 (env step 4,000)"
    ]


def test_damaged_newest_checkpoint_is_put_aside(run_dir):
    save(run_dir, "000001")
    damaged = save(run_dir, "000002", learner_steps=2_500)
    (damaged / "progress.json").write_text("{}")
    begin_part(run_dir, "000003", "learner").mkdir()
    folder = run_dir / "checkpoints"
    before = sorted(os.listdir(folder))
    checkpoint, notes = begin(run_dir)
    assert checkpoint.path.name == "000001"
    assert "000002 is damaged (progress.json has changed)" in notes[0]
    assert "checkpoint 000001" in notes[1]
    # Nothing is changed before the run is known to fit.
    assert sorted(os.listdir(folder)) == before
    discard_leftovers(run_dir, checkpoint)
    assert sorted(os.listdir(folder)) == ["000001", "damaged-000002"]
    assert list_checkpoints(run_dir) == [folder / "000001"]
    # The next checkpoint has the same number, and may be damaged, too.
    damaged = save(run_dir, "000002")
    (damaged / "manifest.json").write_text("")
    discard_leftovers(run_dir, begin(run_dir)[0])
    assert sorted(os.listdir(folder)) == ["000001", "damaged-000002"]


def test_resume_without_whole_checkpoint_starts_from_zero(run_dir):
    damaged = save(run_dir, "000001")
    (damaged / "manifest.json").unlink()
    checkpoint, notes = begin(run_dir, learner_steps=1_000)
    assert checkpoint is None
    assert notes[-1] == "no whole checkpoint: starting from zero"
    discard_leftovers(run_dir, checkpoint)
    assert list_checkpoints(run_dir) == []


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({"env_steps": 4_000}, "env_steps 4000 reached 4000"),
        ({"learner_steps": 1_000}, "learner_steps 1500 reached 1000"),
        ({"seconds": 20.0}, "seconds 30 reached 20"),
        ({"evaluation_return": 0.25}, "evaluation_return 0.5 reached 0.25"),
    ],
)
def test_stop_condition_already_reached_is_refused(run_dir, stop, reason):
    save(run_dir, "000001")
    (name,) = stop
    with pytest.raises(ConfigError) as caught:
        begin(run_dir, **stop)
    assert reason in str(caught.value)
    assert f"Raise it, or switch it off with --stop.{name} null." in str(caught.value)
    # The run directory is unlocked again.
    begin(run_dir, **{name: 1e9 if type(stop[name]) is float else 10_000})


def test_other_seed_or_run_in_use_is_refused_and_unchanged(run_dir):
    begin_part(run_dir, "000001", "learner").mkdir()
    with pytest.raises(ConfigError, match="seed = 7: the run has 1"):
        begin(run_dir, seed=7)
    lock = lock_run_dir(run_dir)
    with pytest.raises(ConfigError, match="in use"):
        begin(run_dir)
    assert os.listdir(run_dir / "checkpoints") == [".partial-000001"]
    os.close(lock)


@pytest.mark.parametrize(
    ("saved", "reached", "wanted"), [(None, 0, 0), (None, 7, 7), (1_500, 1_600, 100)]
)
def test_unsaved_learner_steps_are_counted(run_dir, saved, reached, wanted):
    if saved is not None:
        save(run_dir, "000001", learner_steps=saved)
    status = Status(learner_steps=reached, failed_saves=3)
    assert judge_checkpoints(run_dir, status) == {
        "checkpoint": saved,
        "unsaved_learner_steps": wanted,
        "failed_saves": 3,
    }


def test_run_of_another_version_is_refused(run_dir, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "FORMAT", 1)
        save(run_dir, "000001")
    before = sorted(run_dir.rglob("*"))
    with pytest.raises(ConfigError, match="another version of distrl"):
        begin(run_dir)
    assert sorted(run_dir.rglob("*")) == before
