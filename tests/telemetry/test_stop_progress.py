"""The way to the stop conditions."""

import pytest

from distrl.config import StopConfig
from distrl.telemetry.status import Status
from distrl.telemetry.stop_progress import StopProgress, StopTracker


def test_no_condition_no_way():
    assert StopTracker(StopConfig()).update(Status(env_steps=5)) == []


def test_the_first_status_has_no_rate():
    found = StopTracker(StopConfig(env_steps=100)).update(Status(env_steps=25))
    assert found == [StopProgress("env_steps", 25, 100, 0.25, None)]


def test_time_left_is_at_the_rate_of_late():
    tracker = StopTracker(StopConfig(env_steps=1000, seconds=60.0))
    # 10 steps a second for 30 s, then 20 a second: only the last 20 s count.
    for second in range(31):
        tracker.update(Status(seconds=second, env_steps=10 * second))
    for second in range(31, 51):
        env_steps = 300 + 20 * (second - 30)
        steps, seconds = tracker.update(Status(seconds=second, env_steps=env_steps))
    # At second 50: 700 steps, and 300 are left, at 20 a second.
    assert steps == StopProgress("env_steps", 700, 1000, 0.7, pytest.approx(15.0))
    assert seconds == StopProgress(
        "seconds", 50, 60.0, pytest.approx(5 / 6), pytest.approx(10.0)
    )


def test_nothing_moves_so_nothing_is_predicted():
    tracker = StopTracker(StopConfig(learner_steps=10))
    tracker.update(Status(seconds=1.0))
    (found,) = tracker.update(Status(seconds=2.0))
    assert (found.fraction, found.seconds_left) == (0.0, None)


def test_what_is_reached_is_done():
    tracker = StopTracker(StopConfig(env_steps=10))
    tracker.update(Status(seconds=1.0))
    (found,) = tracker.update(Status(seconds=2.0, env_steps=12))
    assert (found.fraction, found.seconds_left) == (1.0, 0.0)


def test_a_return_goes_from_the_first_one_to_its_goal():
    tracker = StopTracker(StopConfig(evaluation_return=1.0))
    fractions = []
    for value in (None, -1.0, 0.0, -2.0, 0.5, 1.0, 2.0):
        (found,) = tracker.update(Status(evaluation_return=value))
        assert found.seconds_left is None
        fractions.append(found.fraction)
    # From -1 to 1: 0 is half of the way, -2 is none, 0.5 is three quarters.
    assert fractions == [0.0, 0.0, 0.5, 0.0, 0.75, 1.0, 1.0]


def test_a_return_that_began_at_its_goal_and_fell():
    tracker = StopTracker(StopConfig(evaluation_return=0.0))
    tracker.update(Status(evaluation_return=0.0))
    (found,) = tracker.update(Status(evaluation_return=-1.0))
    assert found.fraction == 0.0


def test_a_goal_of_zero_is_a_condition():
    (found,) = StopTracker(StopConfig(evaluation_return=0.0)).update(Status())
    assert found == StopProgress("evaluation_return", None, 0.0, 0.0, None)


def test_a_coordinator_that_starts_again_at_zero_seconds():
    tracker = StopTracker(StopConfig(env_steps=100))
    tracker.update(Status(seconds=50.0, env_steps=40))
    tracker.update(Status(seconds=1.0, env_steps=50))
    (found,) = tracker.update(Status(seconds=2.0, env_steps=60))
    # 10 steps in the second since the new start, and 40 to go.
    assert found.seconds_left == pytest.approx(4.0)
