"""Progress as plain lines, with a clock and a stream of the test's own."""

import io

import pytest

from distrl.telemetry.placement import GroupPlacement
from distrl.telemetry.plain_lines import PlainLines, format_status
from distrl.telemetry.status import Status
from distrl.telemetry.stop_progress import StopProgress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


def test_a_status_without_figures():
    assert format_status(Status(), []) == (
        "env_steps 0 (0/s), learner_steps 0 (0/s), samples/insert -, replay -, "
        "staleness -"
    )


def test_a_status_with_figures_and_the_way_to_each_condition():
    status = Status(
        env_steps=1_500,
        learner_steps=20,
        env_steps_per_second=3_000.4,
        learner_steps_per_second=0.25,
        samples_per_insert=0.0,
        replay_size=0,
        staleness=0.0,
        evaluation_return=0.0,
        evaluation_step=0,
        best_return=-0.5,
    )
    conditions = [
        StopProgress("env_steps", 1_500, 2_000, 0.75, 70.0),
        StopProgress("evaluation_return", 0.0, 1.0, 0.0, None),
    ]
    assert format_status(status, conditions) == (
        "env_steps 1,500 (3,000/s), learner_steps 20 (0.25/s), samples/insert 0, "
        "replay 0, staleness 0, evaluation 0 at step 0 (best -0.5), "
        "75% of env_steps (1:10 left), 0% of evaluation_return"
    )


def test_saves_that_failed_are_told():
    assert format_status(Status(failed_saves=2), []).endswith(", failed saves 2")


def test_lines_have_the_seconds_before_them(clock, stream):
    lines = PlainLines(stream, clock)
    lines.stage("starting")
    clock.now = 12.34
    lines.stage("starting")
    lines.stage("training")
    lines.note("look")
    clock.now = 12_345.6
    lines.stage("stopping")
    assert stream.getvalue() == (
        "    0.0 s  starting\n"
        "   12.3 s  training\n"
        "   12.3 s  note: look\n"
        "12345.6 s  stopping\n"
    )


def test_a_status_is_printed_now_and_then(clock, stream):
    lines = PlainLines(stream, clock)
    # At once, after 3 s, and after 3 * 1.5 = 4.5 s more.
    for now in (0.0, 2.9, 3.0, 7.4, 7.5):
        clock.now = now
        lines.update(Status(env_steps=int(10 * now)), [])
    assert [line.split()[3] for line in stream.getvalue().splitlines()] == [
        "0",
        "30",
        "75",
    ]


def test_a_better_evaluation_is_printed_at_once_and_a_worse_one_is_not(clock, stream):
    lines = PlainLines(stream, clock)
    lines.update(Status(), [])
    for value, best in ((-1.0, -1.0), (-2.0, -1.0), (0.0, 0.0)):
        lines.update(Status(evaluation_return=value, best_return=best), [])
    found = [line.partition("(best ")[2] for line in stream.getvalue().splitlines()]
    assert found == ["", "-1)", "0)"]


def test_the_last_status_is_printed_when_it_closes(clock, stream):
    lines = PlainLines(stream, clock)
    lines.update(Status(env_steps=1), [])
    lines.update(Status(env_steps=2), [])
    lines.close()
    assert [line.split()[3] for line in stream.getvalue().splitlines()] == ["1", "2"]


def test_where_the_nodes_are_is_left_to_program_json(clock, stream):
    lines = PlainLines(stream, clock)
    lines.place([GroupPlacement("learner", 1, ("box",), "1 x H100", 24_049)])
    assert stream.getvalue() == ""
