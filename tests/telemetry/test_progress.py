import io

import pytest
from clocks import Clock

from distrl.config import Config, StopConfig, VariablesConfig
from distrl.telemetry.progress import Progress, SweepProgress
from distrl.telemetry.status import Status

CONFIG = Config(name="catch", stop=StopConfig(env_steps=10_000))
STATUS = Status(
    seconds=4.0,
    env_steps=2_500,
    learner_steps=600,
    env_steps_per_second=625.0,
    learner_steps_per_second=150.0,
    samples_per_insert=31.94,
    replay_size=2_400,
    staleness=16.0,
    staleness_seconds=0.127,
    evaluation_return=0.25,
    evaluation_step=500,
    best_return=0.5,
    nodes_alive=6,
)
NODES = {"actor/0": {"host": "box", "memory_mib": 512, "device_variables": {}}}


@pytest.fixture
def clock():
    return Clock(100.0)


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def terminal(stream, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream.isatty = lambda: True
    return stream


def test_pipe_gets_plain_lines(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.stage("starting")
    clock.now += 2.5
    progress.note("not isolated [really]")
    progress.start(CONFIG)
    progress.place(NODES)
    progress.stage("training")
    progress.stage("training")
    progress.update(STATUS)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "    0.0 s  starting",
        "    2.5 s  note: not isolated [really]",
        "    2.5 s  catch: double_dqn on bsuite:catch/0, 2 actors of 16 environments, "
        "until env_steps 10,000",
        "    2.5 s  training",
        "    2.5 s  env_steps 2,500 (625/s), learner_steps 600 (150/s), "
        "samples/insert 31.9, replay 2,400, staleness 16 (0.127 s), nodes alive 6, "
        "evaluation 0.25 at step 500 (best 0.5), 25% of env_steps",
    ]


def test_lines_are_printed_at_growing_intervals(clock, stream):
    progress = Progress(stream, clock=clock)
    printed = []
    for tick in range(4 * 600):
        before = len(stream.getvalue())
        progress.update(Status(seconds=tick / 4, env_steps=tick))
        if len(stream.getvalue()) > before:
            printed.append(tick / 4)
        clock.now += 0.25
    gaps = [b - a for a, b in zip(printed, printed[1:], strict=False)]
    assert printed[0] == 0.0
    assert gaps[:2] == [3.0, 4.5]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60.0
    assert len(printed) < 20


def test_only_better_evaluations_are_printed_at_once(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.update(Status())
    for value, best in ((-1.0, -1.0), (-2.0, -1.0), (0.0, 0.0), (0.0, 0.0)):
        progress.update(Status(evaluation_return=value, best_return=best))
    lines = stream.getvalue().splitlines()
    assert [line.partition("(best ")[2] for line in lines] == ["", "-1)", "0)"]


def test_last_status_is_printed_once_on_close(clock, stream):
    progress = Progress(stream, clock=clock)
    for env_steps in (1, 2, 3):
        progress.update(Status(env_steps=env_steps))
    assert len(stream.getvalue().splitlines()) == 1
    progress.close()
    progress.close()
    assert len(stream.getvalue().splitlines()) == 2
    assert "env_steps 3 " in stream.getvalue()


def test_stale_actor_and_its_recovery_are_noted_once(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.start(Config(variables=VariablesConfig(stale_seconds=4.0)))
    notes = []
    for seconds in (None, 0.0, 4.0, 4.1, 60.0, 0.5, 0.5, 5.0):
        stream.seek(0)
        stream.truncate()
        progress.update(Status(staleness_seconds=seconds))
        notes.append(stream.getvalue().partition("note: ")[2])
    stale = "an actor's parameters are 4.1 s older than those of the variable service"
    assert [bool(note) for note in notes] == [False] * 3 + [True, False] * 2 + [True]
    assert notes[3].startswith(stale)
    assert "more than 4 s (variables.stale_seconds)" in notes[3]
    assert notes[5].startswith("all actors have new parameters again\n")


def test_nothing_is_shown_after_close(terminal):
    progress = Progress(terminal)
    progress.stage("starting")
    progress.close()
    shown = terminal.getvalue()
    progress.start(CONFIG)
    progress.note("more")
    progress.update(STATUS)
    progress.place(NODES)
    progress.close()
    assert terminal.getvalue() == shown


def test_terminal_shows_the_table(terminal, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    progress = Progress(terminal, clock)
    progress.stage("importing")
    progress.start(CONFIG)
    progress.note("not isolated [really]")
    progress.place(NODES)
    progress.update(STATUS)
    progress.close()
    progress.close()
    shown = terminal.getvalue()
    for words in (
        "importing", "catch: double_dqn on bsuite:catch/0", "env_steps", "625/s",
        "learner_steps", "150/s", "samples/insert", "31.9", "replay", "2,400",
        "staleness", "16", "0.25 at step 500 (best 0.5)", "2,500 of 10,000", "box",
        "512 MiB", "note: not isolated [really]",
    ):  # fmt: skip
        assert words in shown
    hide_cursor, show_cursor = "\x1b[?25l", "\x1b[?25h"
    assert shown.rindex(show_cursor) > shown.rindex(hide_cursor)


def show_sweep(stream, clock):
    progress = SweepProgress(stream, clock)
    progress.start(4, 1)
    progress.update("catch/0", 50, 200)
    progress.update("mnist/0", 0, 10)
    clock.now += 5.0
    progress.end("mnist/0", "failed: no [network]")
    progress.update("catch/0", 200, 200)
    clock.now += 5.0
    progress.end("catch/0", "done: 200 episodes", is_done=True)
    progress.close()
    progress.close()
    return stream.getvalue()


SWEEP_LINES = [
    "    0.0 s  4 ids, 1 of them done before",
    "    5.0 s  mnist/0 failed: no [network] (1 of 4)",
    "   10.0 s  catch/0 done: 200 episodes (2 of 4)",
]


def test_sweep_prints_a_line_for_each_id(stream, clock):
    assert show_sweep(stream, clock).splitlines() == SWEEP_LINES


def test_sweep_draws_bars_on_a_terminal(terminal, clock):
    shown = show_sweep(terminal, clock)
    for words in (*SWEEP_LINES, "all ids", "2 of 4"):
        assert words in shown
