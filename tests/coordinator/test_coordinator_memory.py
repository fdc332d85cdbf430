"""Where a coordinator goes on from: its own notes, or the newest checkpoint."""

import numpy as np
import pytest

from distrl.checkpoints import RunProgress, complete_checkpoint, save_best
from distrl.coordinator.counts import Counts
from distrl.coordinator.memory import Memory, recall_run, write_memory
from distrl.session import Session

PROGRESS = RunProgress(30.0, 100, 50, 7, 0.5, 40, 3, 0.75, 1)


def no_warning(line):
    raise AssertionError(line)


def make_memory(session="a"):
    counts = Counts({"env_steps": 5})
    counts.update("learner", "life", {"learner_steps": 60})
    return Memory(session, 1, 12.0, counts, (40, 0.5, 3), 0.75, 3, 55, 2)


@pytest.mark.parametrize("session", [Session(), Session("a", 0, 0)])
def test_a_new_run_begins_at_zero(tmp_path, session):
    for run_dir in (tmp_path, None):
        memory = recall_run(run_dir, session, no_warning)
        assert memory.to_progress(0.0) == RunProgress()
        assert (memory.checkpoint, memory.number, memory.failed_saves) == (None, 0, 0)


def test_a_life_of_the_same_session_goes_on_where_the_last_one_was(tmp_path):
    complete_checkpoint(tmp_path, "000001", PROGRESS, 2)
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("a", 0, 1), no_warning)
    assert memory.seconds == 20.0
    assert memory.to_progress(21.0) == RunProgress(21.0, 5, 60, 0, 0.5, 40, 3, 0.75, 1)
    assert (memory.checkpoint, memory.number, memory.failed_saves) == (55, 3, 2)
    assert not memory.counts.update("learner", "life", {"learner_steps": 61})


def test_another_session_goes_on_from_the_newest_checkpoint(tmp_path):
    complete_checkpoint(tmp_path, "000004", PROGRESS, 2)
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    assert memory.to_progress(memory.seconds) == RunProgress(
        30.0, 100, 50, 7, 0.5, 40, 3, 0.75, 2
    )
    assert (memory.session, memory.checkpoint, memory.number) == ("b", 50, 4)
    assert memory.checkpointed_at == 30.0
    assert memory.failed_saves == 0


def test_another_session_without_a_checkpoint_begins_at_zero(tmp_path):
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    assert memory.to_progress(0.0) == RunProgress(sessions=2)


def test_the_best_may_be_newer_than_the_checkpoint(tmp_path):
    complete_checkpoint(tmp_path, "000001", PROGRESS, 2)
    save_best(tmp_path, {"w": np.ones(1)}, 70, 0.875, 30)
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    assert memory.best_return == 0.875
    assert memory.evaluation == (40, 0.5, 3)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"session": "a"}', "\0\0"])
def test_notes_that_cannot_be_read_are_as_none(tmp_path, text):
    complete_checkpoint(tmp_path, "000001", PROGRESS, 2)
    (tmp_path / "checkpoints" / "coordinator.json").write_text(text)
    memory = recall_run(tmp_path, Session("a"), no_warning)
    assert memory.to_progress(30.0).env_steps == 100


def test_a_damaged_checkpoint_is_told_of(tmp_path):
    complete_checkpoint(tmp_path, "000001", PROGRESS, 2)
    newest = complete_checkpoint(tmp_path, "000002", RunProgress(learner_steps=9), 2)
    (newest.path / "progress.json").write_text("{}")
    lines = []
    memory = recall_run(tmp_path, Session("a", 0, 1), lines.append)
    assert memory.to_progress(0.0).learner_steps == 50
    assert "000002 is damaged" in lines[0]
    # Its number is not given again.
    assert memory.number == 2
