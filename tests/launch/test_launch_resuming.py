"""Where a run goes on: the checkpoint taken, what is put aside, what is refused."""

import dataclasses
import os
import shutil

import pytest

from distrl.checkpoints import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    list_checkpoints,
    manifest,
)
from distrl.config import Config, StopConfig, config_to_yaml
from distrl.errors import ConfigError
from distrl.launch.resuming import begin_resumption, judge_checkpoints, ready_run
from distrl.launch.run_directory import make_run_dir
from distrl.launch.run_lock import lock_run_dir, read_holder
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
    os.close(make_run_dir(tmp_path, config_to_yaml(Config())))
    return tmp_path


@pytest.fixture
def begin(run_dir):
    """Begins to go on, with stop conditions; returns the resumption and the notes.

    The second call gives up what the first one has locked.
    """
    locks = []

    def release():
        while locks:
            os.close(locks.pop())

    def call(**stop):
        release()
        notes = []
        config = Config(run_dir=str(run_dir), stop=StopConfig(**stop))
        resumption = begin_resumption(config, run_dir, notes.append)
        locks.append(resumption.lock)
        return resumption, notes

    yield call
    release()


def save(run_dir, name, **changes):
    begin_part(run_dir, name, "learner").mkdir()
    progress = dataclasses.replace(PROGRESS, **changes)
    return complete_checkpoint(run_dir, name, progress, keep=5).path


def test_it_goes_on_from_the_newest(run_dir, begin):
    save(run_dir, "000001")
    save(run_dir, "000002", learner_steps=2_500, sessions=3)
    resumption, notes = begin()
    assert resumption.number == 3
    assert resumption.status == Status(
        seconds=30.0,
        env_steps=4_000,
        learner_steps=2_500,
        episodes=40,
        evaluation_return=0.5,
        evaluation_step=1_400,
        best_return=0.75,
    )
    assert notes == [
        "resuming from checkpoint 000002 of learner step 2,500 (env step 4,000)"
    ]
    with pytest.raises(ConfigError, match="in use"):
        lock_run_dir(run_dir)


def test_a_damaged_newest_one_is_put_aside_with_a_note(run_dir, begin):
    save(run_dir, "000001")
    damaged = save(run_dir, "000002", learner_steps=2_500)
    (damaged / "progress.json").write_text("{}")
    begin_part(run_dir, "000003", "learner").mkdir()
    folder = run_dir / "checkpoints"
    before = sorted(os.listdir(folder))
    resumption, notes = begin()
    assert resumption.status.learner_steps == 1_500
    assert "000002 is damaged (progress.json has changed)" in notes[0]
    assert "checkpoint 000001" in notes[1]
    # Nothing is touched until the run is known to go on.
    assert sorted(os.listdir(folder)) == before
    ready_run(run_dir, resumption.checkpoint)
    assert sorted(os.listdir(folder)) == ["000001", "damaged-000002"]
    assert list_checkpoints(run_dir) == [folder / "000001"]
    # The number comes again, and may be damaged again.
    for make in (shutil.rmtree, lambda path: shutil.rmtree(path) or path.touch()):
        make(folder / "damaged-000002")
        damaged = save(run_dir, "000002")
        (damaged / "manifest.json").write_text("")
        ready_run(run_dir, begin()[0].checkpoint)
        assert sorted(os.listdir(folder)) == ["000001", "damaged-000002"]
        assert (folder / "damaged-000002").is_dir()


def test_without_a_whole_one_it_starts_from_zero_and_says_so(run_dir, begin):
    damaged = save(run_dir, "000001")
    (damaged / "manifest.json").unlink()
    resumption, notes = begin(learner_steps=1_000)
    assert (resumption.number, resumption.status) == (0, Status())
    assert notes[-1] == "no whole checkpoint: starting from zero"
    ready_run(run_dir, resumption.checkpoint)
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
def test_a_stop_condition_that_holds_is_refused(run_dir, begin, stop, reason):
    save(run_dir, "000001")
    (name,) = stop
    with pytest.raises(ConfigError) as caught:
        begin(**stop)
    assert reason in str(caught.value)
    assert f"Raise it, or switch it off with --stop.{name} null." in str(caught.value)
    # It is free again, and as it was.
    assert read_holder(run_dir) == f"{os.getpid()}\n"
    begin(**{name: 1e9 if name in ("seconds", "evaluation_return") else 10_000})


def test_what_does_not_fit_is_refused(run_dir):
    with pytest.raises(ConfigError, match="seed = 7: the run has 1"):
        begin_resumption(Config(seed=7), run_dir, pytest.fail)


def test_a_run_that_is_in_use_is_refused_and_left_alone(run_dir, begin):
    begin_part(run_dir, "000001", "learner").mkdir()
    lock = lock_run_dir(run_dir)
    with pytest.raises(ConfigError, match="in use"):
        begin()
    assert os.listdir(run_dir / "checkpoints") == [".partial-000001"]
    os.close(lock)


def test_a_checkpoint_without_a_learner_is_passed_over(run_dir, begin):
    save(run_dir, "000001")
    path = save(run_dir, "000002")
    (path / "learner").rmdir()
    resumption, notes = begin()
    assert resumption.checkpoint.path.name == "000001"
    assert "000002 is damaged (it has no learner)" in notes[0]


@pytest.mark.parametrize(
    ("saved", "reached", "wanted"), [(None, 0, 0), (None, 7, 7), (1_500, 1_600, 100)]
)
def test_what_no_checkpoint_holds_is_counted(run_dir, saved, reached, wanted):
    if saved is not None:
        save(run_dir, "000001", learner_steps=saved)
    status = Status(learner_steps=reached, failed_saves=3)
    assert judge_checkpoints(run_dir, status) == {
        "checkpoint": saved,
        "unsaved_learner_steps": wanted,
        "failed_saves": 3,
    }


def test_a_run_of_another_version_is_refused(run_dir, begin, monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 1)
    save(run_dir, "000001")
    before = sorted(run_dir.rglob("*"))
    with pytest.raises(ConfigError, match="another version of distrl"):
        begin()
    assert sorted(run_dir.rglob("*")) == before
