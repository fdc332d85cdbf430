import contextlib
import io
import os
import pty
import time

import pytest
from clocks import Clock

from distrl.telemetry.display import Display
from distrl.telemetry.progress import Progress


@pytest.fixture(autouse=True)
def term(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def clock():
    return Clock(100.0)


def test_lines_begin_with_seconds_and_escape_control_characters(clock):
    stream = io.StringIO()
    progress = Progress(stream, clock=clock)
    clock.now += 12_345.6
    progress.note("\x1b]0;stopping\x07 [really]")
    assert stream.getvalue() == "12345.6 s  note: \\x1b]0;stopping\\x07 [really]\n"


def test_time_left_follows_the_last_20_seconds(clock):
    display = Display(io.StringIO(), clock=clock)
    # 10 steps a second for 30 s, then 20 a second.
    for second in range(31):
        display._set_bar("env_steps", 10 * second, 1000)
        clock.now += 1.0
    for second in range(1, 21):
        words = display._set_bar("env_steps", 300 + 20 * second, 1000)
        clock.now += 1.0
    # 300 are left.
    assert words == "70% of env_steps (0:15 left)"


def test_time_left_is_hidden_without_progress(clock):
    display = Display(io.StringIO(), clock=clock)
    for _ in range(3):
        assert display._set_bar("env_steps", 25, 100) == "25% of env_steps"
        clock.now += 1.0


@pytest.mark.parametrize(
    ("is_terminal", "term", "redraws"),
    [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)],
)
def test_only_a_capable_terminal_is_redrawn(is_terminal, term, redraws, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setenv("TERM", term)
    stream.isatty = lambda: is_terminal
    progress = Progress(stream)
    progress.stage("starting")
    progress.close()
    assert ("\x1b[" in stream.getvalue()) == redraws


class GoneReader(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("is_terminal", [False, True])
def test_broken_pipe_is_ignored(is_terminal):
    stream = GoneReader()
    stream.isatty = lambda: is_terminal
    progress = Progress(stream)
    progress.stage("starting")
    progress.note("starting")
    progress.close()


def test_closed_terminal_is_ignored(clock):
    terminal, near = pty.openpty()
    stream = os.fdopen(near, "w")
    progress = Progress(stream, clock)
    progress.stage("starting")
    os.close(terminal)
    progress.note("nobody reads this")
    progress.close()
    with pytest.raises(OSError, match="Input/output error"):
        os.write(near, b"it is closed indeed")
    with contextlib.suppress(OSError):
        stream.close()


def test_elapsed_time_is_redrawn_without_updates():
    stream = io.StringIO()
    stream.isatty = lambda: True
    progress = Progress(stream)
    progress.stage("training")
    deadline = time.monotonic() + 60
    while "0:01" not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.05)
    progress.close()
    assert "0:01" in stream.getvalue()
