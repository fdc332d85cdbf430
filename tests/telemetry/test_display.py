"""Lines, figures and bars, on a pipe and on a terminal."""

import contextlib
import io
import os
import pty
import re
import time

import pytest
from clocks import Clock

from distrl.telemetry.display import Display


@pytest.fixture
def clock():
    return Clock(100.0)


def test_lines_have_the_seconds_before_them(clock):
    stream = io.StringIO()
    display = Display(stream, clock=clock)
    display.line("starting [really]")
    clock.now += 12_345.6
    display.line("\x1b]0;stopping\x07")
    assert stream.getvalue() == (
        "    0.0 s  starting [really]\n12345.6 s  \\x1b]0;stopping\\x07\n"
    )


def test_a_pipe_gets_nothing_but_lines(clock):
    stream = io.StringIO()
    display = Display(stream, clock=clock)
    display.title, display.stage, display.figures = "a", "b", [("c", "d")]
    display.set_bar("steps", 1, 2, "1 of 2")
    display.refresh()
    display.table([["group"], ["actor"]])
    display.close()
    assert stream.getvalue() == ""


def test_the_time_left_is_at_the_rate_of_the_last_20_seconds(clock):
    display = Display(io.StringIO(), clock=clock)
    # 10 steps a second for 30 s, then 20 a second.
    for second in range(31):
        display.set_bar("env_steps", 10 * second, 1000, "")
        clock.now += 1.0
    for second in range(1, 21):
        words = display.set_bar("env_steps", 300 + 20 * second, 1000, "")
        clock.now += 1.0
    # 300 are left.
    assert words == "70% of env_steps (0:15 left)"


def test_the_time_left_is_not_known_at_first_nor_when_nothing_moves(clock):
    display = Display(io.StringIO(), clock=clock)
    for _ in range(3):
        assert display.set_bar("env_steps", 25, 100, "") == "25% of env_steps"
        clock.now += 1.0
    assert display.set_bar("env_steps", 35, 100, "", predict=False).endswith("steps")


def test_a_bar_that_is_full_has_no_time_left(clock):
    display = Display(io.StringIO(), clock=clock)
    assert display.set_bar("env_steps", 12, 10, "") == "100% of env_steps (0:00 left)"


@pytest.mark.parametrize(
    ("is_terminal", "term", "redraws"),
    [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)],
)
def test_a_terminal_is_recognised(is_terminal, term, redraws, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setenv("TERM", term)
    stream.isatty = lambda: is_terminal
    display = Display(stream)
    display.refresh()
    display.line("starting")
    display.close()
    assert ("\x1b[" in stream.getvalue()) == redraws


def test_a_terminal_gets_all_and_is_left_as_it_was(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    display = Display(stream, is_terminal=True, clock=clock)
    clock.now += 65.0
    display.title, display.stage = "catch: dqn", "training"
    display.figures = [("replay", "2,400"), ("staleness", "16"), ("nodes alive", "6")]
    display.set_bar("env_steps", 2_500, 10_000, "2,500 of 10,000 [steps]")
    display.set_bar("gone", 1, 2, "half")
    display.remove_bar("gone")
    display.refresh()
    display.line("note: [really]")
    display.table([["group", "memory"], ["actor", "512 MiB"]])
    display.close()
    shown = stream.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    words = " ".join(re.sub(r"\x1b\[[\d;?]*\w", "", shown).split())
    for expected in (
        "catch: dqn training 1:05 replay 2,400 staleness 16 nodes alive 6 env_steps",
        "2,500 of 10,000 [steps]",
        "65.0 s note: [really]",
        "group memory actor 512 MiB",
    ):
        assert expected in words
    assert "gone" not in words


class GoneReader(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_reader_that_is_gone_ends_nothing(is_terminal):
    display = Display(GoneReader(), is_terminal)
    display.refresh()
    display.line("starting")
    display.table([["group"]])
    display.close()


def test_a_terminal_that_was_closed_ends_nothing(clock):
    terminal, near = pty.openpty()
    stream = os.fdopen(near, "w")
    display = Display(stream, is_terminal=True, clock=clock)
    display.refresh()
    os.close(terminal)
    display.line("nobody reads this")
    display.refresh()
    display.close()
    with pytest.raises(OSError, match="Input/output error"):
        os.write(near, b"it is closed indeed")
    with contextlib.suppress(OSError):
        stream.close()


def test_the_clock_runs_without_a_call():
    stream = io.StringIO()
    display = Display(stream, is_terminal=True)
    display.stage = "training"
    display.refresh()
    deadline = time.monotonic() + 60
    while "0:01" not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.05)
    display.close()
    assert "0:01" in stream.getvalue()
