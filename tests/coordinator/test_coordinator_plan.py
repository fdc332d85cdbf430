"""When checkpoints begin and end, on a clock of the test's own."""

import pytest

from distrl.checkpoints import LAST, RunProgress
from distrl.config import CheckpointConfig
from distrl.coordinator.plan import CheckpointPlan

PARTS = ("learner", "replay/0")


def make_plan(parts=PARTS, number=0, learner_steps=0, **config):
    settings = {"period_seconds": 10.0, "save_seconds": 4.0} | config
    return CheckpointPlan(
        CheckpointConfig(**settings), parts, 0.0, learner_steps, number
    )


def at(learner_steps, env_steps=0):
    return RunProgress(learner_steps=learner_steps, env_steps=env_steps)


def test_one_begins_a_period_after_another_began():
    plan = make_plan(number=7)
    assert plan.begin_if_due(9.9, at(5)) is None
    attempt = plan.begin_if_due(10.0, at(5))
    assert (plan.wanted, attempt.number, attempt.missing) == (
        "000008",
        "000008",
        set(PARTS),
    )
    # One at a time.
    assert plan.begin_if_due(30.0, at(5)) is None
    plan.take("learner", "000008", 6)
    plan.take("replay/0", "000008", None)
    assert plan.wanted is None
    assert plan.begin_if_due(19.9, at(9)) is None
    assert plan.begin_if_due(20.0, at(9)).name == "000009"


def test_none_begins_before_the_first_step_of_the_learner():
    plan = make_plan()
    assert plan.begin_if_due(100.0, at(0)) is None
    assert plan.begin_if_due(100.1, at(1)) is not None


def test_a_period_may_be_of_learner_steps():
    plan = make_plan(period_seconds=None, period_learner_steps=100, learner_steps=50)
    assert plan.begin_if_due(1e6, at(149)) is None
    assert plan.begin_if_due(1e6, at(150)) is not None
    plan.give_up()
    assert plan.begin_if_due(1e6, at(249)) is None
    # The learner went back to a checkpoint: it counts from there.
    assert plan.begin_if_due(1e6, at(180)) is None
    assert plan.begin_if_due(1e6, at(120)) is None
    assert plan.begin_if_due(1e6, at(219)) is None
    assert plan.begin_if_due(1e6, at(220)) is not None


def test_without_a_period_none_begins():
    plan = make_plan(period_seconds=None)
    assert plan.begin_if_due(1e9, at(10**9)) is None


def test_a_checkpoint_holds_what_was_when_it_began_and_the_learners_own_step():
    plan = make_plan()
    plan.begin_if_due(10.0, at(learner_steps=5, env_steps=70))
    assert plan.take("replay/0", "000001", None) is None
    # A part that is told of twice is there once.
    assert plan.take("replay/0", "000001", None) is None
    ready = plan.take("learner", "000001", 8)
    assert ready.missing == set()
    assert ready.progress == at(learner_steps=8, env_steps=70)


def test_one_that_takes_too_long_is_late_and_its_parts_fit_nothing_more():
    plan = make_plan()
    assert not plan.is_late(1e9)
    plan.begin_if_due(10.0, at(5))
    plan.take("learner", "000001", 5)
    assert not plan.is_late(14.0)
    assert plan.is_late(14.1)
    assert plan.give_up().missing == {"replay/0"}
    assert plan.give_up() is None
    plan.begin_if_due(20.0, at(6))
    assert plan.wanted == "000002"
    assert plan.take("replay/0", "000001", None) is None
    assert plan.take("learner", "000002", 6) is None
    assert plan.take("replay/0", "000002", None).name == "000002"


def test_one_given_up_may_be_made_again_at_once():
    plan = make_plan()
    plan.begin_if_due(10.0, at(5))
    plan.give_up()
    # The disk may be full: a period later is soon enough.
    assert plan.begin_if_due(19.9, at(6)) is None
    assert plan.begin_if_due(20.0, at(6)) is not None
    plan.give_up(again=True)
    assert plan.begin_if_due(20.1, at(6)).name == "000003"


def test_the_period_goes_on_over_a_life_of_the_plan():
    plan = CheckpointPlan(CheckpointConfig(period_seconds=10.0), PARTS, -7.0, 5, 1)
    assert plan.begin_if_due(2.9, at(9)) is None
    assert plan.begin_if_due(3.0, at(9)) is not None


def test_without_replay_the_learner_alone_makes_it_whole():
    plan = make_plan(parts=("learner",))
    plan.begin_if_due(10.0, at(5))
    assert plan.take("learner", "000001", 5).number == "000001"


@pytest.mark.parametrize("under_way", [False, True])
def test_the_one_at_the_end_is_told_of_by_its_parts(under_way):
    plan = make_plan()
    assert plan.end(at(9)) is None
    if under_way:
        plan.begin_if_due(10.0, at(5))
    assert plan.take("replay/0", LAST, None) is None
    assert plan.take("learner", LAST, 6) is None
    final = plan.end(at(learner_steps=9, env_steps=90))
    assert (final.name, final.number) == (LAST, f"{1 + under_way:06d}")
    assert final.missing == set()
    assert final.progress == at(learner_steps=6, env_steps=90)
    assert plan.end(at(9)) is None


def test_the_one_at_the_end_may_lack_a_part():
    plan = make_plan()
    plan.take("replay/0", LAST, None)
    assert plan.end(at(9)).missing == {"learner"}
