import numpy as np
import pytest

from distrl.checkpoints.best import BestKeeper
from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    make_folder,
)
from distrl.coordinator.memory import MEMORY_FILE, Memory, recall_run
from distrl.seeding import Session

PROGRESS = RunProgress(30.0, 100, 50, 7, 0.5, 40, 3, 0.75, 1)


def no_warning(line):
    raise AssertionError(line)


def save(run_dir):
    begin_part(run_dir, "000001", "learner").mkdir()
    return complete_checkpoint(run_dir, "000001", PROGRESS, 2)


@pytest.fixture
def empty():
    return Memory("a", RunProgress())


def test_counts_are_summed_over_all_incarnations(empty):
    empty.totals = {"env_steps": 100, "episodes": 9}
    empty.add("actor/0", "a", {"env_steps": 5})
    empty.add("actor/0", "a", {"env_steps": 7})
    empty.add("actor/1", "a", {"env_steps": 1, "episodes": 2})
    for number in range(6):
        empty.add("actor/0", f"{number}", {"env_steps": 10})
    assert empty.totals == {"env_steps": 100 + 7 + 1 + 60, "episodes": 11}
    # Memory does not grow with the number of incarnations.
    assert len(empty.nodes["actor/0"]) == 2


def test_learner_steps_are_those_of_newest_incarnation(empty):
    for number, steps in enumerate([80, 60, 0, 40]):
        empty.add("learner", str(number), {"learner_steps": steps})
        assert empty.totals == {"learner_steps": steps}
    # A late report of the one before.
    empty.add("learner", "2", {"learner_steps": 90, "updates": 5})
    assert empty.totals == {"learner_steps": 40, "updates": 5}
    # An incarnation that has not counted yet changes nothing.
    empty.add("learner", "new", {})
    assert empty.totals == {"learner_steps": 40, "updates": 5}


def write(run_dir):
    """Writes the memory of session `a` after 20 s."""
    progress = RunProgress(12.0).with_evaluation(40, 0.5, 3)
    memory = Memory("a", progress, {"env_steps": 5})
    memory.add("learner", "a", {"learner_steps": 60})
    (make_folder(run_dir) / MEMORY_FILE).write_text(memory.to_json(20.0))


@pytest.mark.parametrize("session", [Session(), Session("a", 0, 0)])
def test_new_run_starts_from_zero(tmp_path, session):
    for run_dir in (tmp_path, None):
        memory = recall_run(run_dir, session, no_warning)
        assert memory.to_progress(0.0) == RunProgress()


def test_restarted_coordinator_continues_its_counts(tmp_path):
    write(tmp_path)
    memory = recall_run(tmp_path, Session("a", 0, 1), no_warning)
    assert memory.progress.seconds == 20.0
    assert memory.to_progress(21.0) == RunProgress(21.0, 5, 60, 0, 0.5, 40, 3, 0.5, 1)
    # A repeated report counts once.
    memory.add("learner", "a", {"learner_steps": 60, "failed_saves": 1})
    memory.add("learner", "a", {"learner_steps": 60, "failed_saves": 1})
    assert memory.totals == {"env_steps": 5, "learner_steps": 60, "failed_saves": 1}


def test_newer_checkpoint_raises_the_counts(tmp_path):
    save(tmp_path)
    write(tmp_path)
    memory = recall_run(tmp_path, Session("a", 0, 1), no_warning)
    assert memory.progress.seconds == 30.0
    assert memory.to_progress(31.0).env_steps == 100
    # Reports add to the coordinator's own counts, not to those of the checkpoint.
    memory.add("actor/9", "x", {"env_steps": 96})
    assert memory.to_progress(31.0).env_steps == 101


def test_next_session_continues_from_newest_checkpoint(tmp_path):
    write(tmp_path)
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    assert memory.to_progress(0.0) == RunProgress(sessions=2)
    save(tmp_path)
    BestKeeper(tmp_path, 30).offer({"w": np.ones(1)}, 70, 0.875)
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    # The best may be newer than the checkpoint.
    assert memory.to_progress(memory.progress.seconds) == RunProgress(
        30.0, 100, 50, 7, 0.5, 40, 3, 0.875, 2
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"session": "a"}'])
def test_damaged_memory_is_ignored(tmp_path, text):
    save(tmp_path)
    (tmp_path / "checkpoints" / "coordinator.json").write_text(text)
    memory = recall_run(tmp_path, Session("a"), no_warning)
    assert memory.to_progress(30.0).env_steps == 100
