"""Counts over the incarnations of nodes, and where a coordinator continues."""

import json

import numpy as np
import pytest

from distrl.checkpoints import RunProgress, begin_part, complete_checkpoint, save_best
from distrl.coordinator.memory import Counts, Memory, recall_run, write_memory
from distrl.system.session import Session

PROGRESS = RunProgress(30.0, 100, 50, 7, 0.5, 40, 3, 0.75, 1)


def no_warning(line):
    raise AssertionError(line)


def save(run_dir, name="000001", progress=PROGRESS):
    begin_part(run_dir, name, "learner").mkdir()
    return complete_checkpoint(run_dir, name, progress, 2)


def test_a_count_is_the_sum_of_all_incarnations():
    counts = Counts({"env_steps": 100, "episodes": 9})
    counts.update("actor/0", "a", {"env_steps": 5})
    counts.update("actor/0", "a", {"env_steps": 7})
    counts.update("actor/1", "a", {"env_steps": 1, "episodes": 2})
    for number in range(6):
        counts.update("actor/0", f"{number}", {"env_steps": 10})
    assert counts.total("env_steps") == 100 + 7 + 1 + 60
    assert counts.total("episodes") == 11
    assert counts.total("never") == 0
    # What is kept does not grow with the number of incarnations.
    assert len(counts.to_dict()["nodes"]["actor/0"]) == 2


def test_the_steps_of_the_learner_are_those_of_its_newest_incarnation():
    counts = Counts({"learner_steps": 50})
    counts.update("actor/0", "x", {"env_steps": 3})
    assert counts.total("learner_steps") == 50
    for number, steps in enumerate([80, 60, 0, 40]):
        counts.update("learner", str(number), {"learner_steps": steps})
        assert counts.total("learner_steps") == steps
    # An incarnation that has not counted yet changes nothing.
    counts.update("learner", "new", {})
    assert counts.total("learner_steps") == 40


def test_a_late_report_of_an_incarnation_that_ended_changes_its_own_part_alone():
    counts = Counts({})
    counts.update("learner", "a", {"learner_steps": 80, "updates": 4})
    counts.update("learner", "b", {"learner_steps": 60, "updates": 1})
    counts.update("learner", "a", {"learner_steps": 90, "updates": 5})
    assert counts.total("learner_steps") == 60
    assert counts.total("updates") == 6


class Untouchable(dict):
    """Nodes that nobody may walk through."""

    def __iter__(self):
        raise AssertionError("a report walks through all nodes")

    items = keys = values = __iter__


def test_a_report_costs_the_same_for_any_number_of_nodes():
    counts = Counts({})
    for index in range(10):
        counts.update(f"actor/{index}", "a", {"env_steps": 1})
    counts._nodes = Untouchable(counts._nodes)
    counts.update("actor/3", "a", {"env_steps": 5})
    counts.update("learner", "a", {"learner_steps": 7})
    assert (counts.total("env_steps"), counts.total("learner_steps")) == (14, 7)


def test_counts_survive_json():
    counts = Counts({"env_steps": 2})
    for incarnation in ("a", "b", "c"):
        counts.update("actor/0", incarnation, {"env_steps": 4})
        counts.update("learner", incarnation, {"learner_steps": ord(incarnation)})
    again = Counts.from_dict(json.loads(json.dumps(counts.to_dict())))
    # The newest incarnation is still the newest, and a repeated report counts once.
    again.update("actor/0", "c", {"env_steps": 5})
    assert again.total("env_steps") == 2 + 4 + 4 + 5
    assert again.total("learner_steps") == ord("c")


def make_memory():
    counts = Counts({"env_steps": 5})
    counts.update("learner", "a", {"learner_steps": 60})
    return Memory("a", RunProgress(12.0).with_evaluation(40, 0.5, 3), counts)


@pytest.mark.parametrize("session", [Session(), Session("a", 0, 0)])
def test_a_new_run_starts_from_zero(tmp_path, session):
    for run_dir in (tmp_path, None):
        memory = recall_run(run_dir, session, no_warning)
        assert memory.to_progress(0.0) == RunProgress()


def test_a_coordinator_of_the_same_session_continues_where_the_last_one_was(tmp_path):
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("a", 0, 1), no_warning)
    assert memory.progress.seconds == 20.0
    assert memory.to_progress(21.0) == RunProgress(21.0, 5, 60, 0, 0.5, 40, 3, 0.5, 1)


def test_it_counts_no_less_than_a_newer_checkpoint(tmp_path):
    save(tmp_path)
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("a", 0, 1), no_warning)
    assert memory.progress.seconds == 30.0
    assert memory.to_progress(31.0).env_steps == 100
    # Reports still add up to what they did before.
    memory.counts.update("actor/9", "x", {"env_steps": 96})
    assert memory.to_progress(31.0).env_steps == 101


def test_another_session_continues_from_the_newest_checkpoint(tmp_path):
    save(tmp_path)
    save_best(tmp_path, {"w": np.ones(1)}, 70, 0.875, 30)
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    # The best may be newer than the checkpoint.
    assert memory.to_progress(memory.progress.seconds) == RunProgress(
        30.0, 100, 50, 7, 0.5, 40, 3, 0.875, 2
    )


def test_another_session_without_a_checkpoint_starts_from_zero(tmp_path):
    write_memory(tmp_path, make_memory().to_json(20.0))
    memory = recall_run(tmp_path, Session("b", 1, 0), no_warning)
    assert memory.to_progress(0.0) == RunProgress(sessions=2)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"session": "a"}', "\0\0"])
def test_a_damaged_memory_is_ignored(tmp_path, text):
    save(tmp_path)
    (tmp_path / "checkpoints" / "coordinator.json").write_text(text)
    memory = recall_run(tmp_path, Session("a"), no_warning)
    assert memory.to_progress(30.0).env_steps == 100
