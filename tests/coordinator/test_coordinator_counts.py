"""Counts go on over the lives of nodes and of the coordinator."""

import json

from distrl.coordinator.counts import Counts


def test_a_count_is_the_sum_of_all_lives():
    counts = Counts({"env_steps": 100, "episodes": 9})
    assert not counts.update("actor/0", "a", {"env_steps": 5})
    assert not counts.update("actor/0", "a", {"env_steps": 7})
    assert not counts.update("actor/1", "a", {"env_steps": 1, "episodes": 2})
    for number in range(6):
        assert counts.update("actor/0", f"life{number}", {"env_steps": 10})
    assert counts.total("env_steps") == 100 + 7 + 1 + 60
    assert counts.total("episodes") == 11
    assert counts.total("never") == 0
    # What is kept does not grow with the number of lives.
    assert len(counts.to_dict()["lives"]["actor/0"]) == 2


def test_the_steps_of_the_learner_are_those_of_its_newest_life():
    counts = Counts({"learner_steps": 50})
    counts.update("actor/0", "x", {"env_steps": 3})
    assert counts.total("learner_steps") == 50
    for number, steps in enumerate([80, 60, 0, 40]):
        counts.update("learner", str(number), {"learner_steps": steps})
        assert counts.total("learner_steps") == steps
    # A life that has not counted yet changes nothing.
    assert counts.update("learner", "new", {})
    assert counts.total("learner_steps") == 40


def test_a_late_report_of_a_life_that_ended_changes_its_own_part_alone():
    counts = Counts({})
    counts.update("learner", "a", {"learner_steps": 80, "updates": 4})
    counts.update("learner", "b", {"learner_steps": 60, "updates": 1})
    counts.update("learner", "a", {"learner_steps": 90, "updates": 5})
    assert counts.total("learner_steps") == 60
    assert counts.total("updates") == 6


class Untouchable(dict):
    """Lives that nobody may walk through."""

    def __iter__(self):
        raise AssertionError("a report walks through all nodes")

    items = keys = values = __iter__


def test_a_report_costs_the_same_for_any_number_of_nodes():
    counts = Counts({})
    for index in range(10):
        counts.update(f"actor/{index}", "a", {"env_steps": 1})
    counts._lives = Untouchable(counts._lives)
    counts.update("actor/3", "a", {"env_steps": 5})
    counts.update("learner", "a", {"learner_steps": 7})
    assert (counts.total("env_steps"), counts.total("learner_steps")) == (14, 7)


def test_counts_go_through_json():
    counts = Counts({"env_steps": 2})
    for life in ("a", "b", "c"):
        counts.update("actor/0", life, {"env_steps": 4})
        counts.update("learner", life, {"learner_steps": ord(life)})
    again = Counts.from_dict(json.loads(json.dumps(counts.to_dict())))
    for name in ("env_steps", "learner_steps"):
        assert again.total(name) == counts.total(name)
    # The newest life is still the newest, and the same report still counts once.
    assert not again.update("actor/0", "c", {"env_steps": 5})
    assert again.total("env_steps") == 2 + 4 + 4 + 5
    assert again.total("learner_steps") == ord("c")
