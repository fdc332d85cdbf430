"""What a run shows, on a pipe and on a terminal."""

import contextlib
import io
import os
import pty
import subprocess
import sys

import pytest

from distrl.config import Config, StopConfig
from distrl.telemetry.progress import Progress
from distrl.telemetry.status import Status

_CONFIG = Config(name="catch", stop=StopConfig(env_steps=10_000))
_STATUS = Status(
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


class _Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def stream():
    return io.StringIO()


def test_plain_lines(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.stage("starting")
    clock.now += 2.5
    progress.note("not isolated [really]")
    progress.start(_CONFIG)
    progress.stage("training")
    progress.stage("training")
    progress.update(_STATUS)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "    0.0 s  starting",
        "    2.5 s  note: not isolated [really]",
        "    2.5 s  catch: double_dqn on bsuite:catch/0, 2 actors of 16 environments, "
        "until env_steps 10,000",
        "    2.5 s  training",
        "    2.5 s  env_steps 2,500 (625/s), learner_steps 600 (150/s), "
        "samples/insert 31.9, replay 2,400, staleness 16 (0.127 s), "
        "evaluation 0.25 at step 500 (best 0.5), 25% of env_steps",
    ]


def _count_lines(progress, clock, stream, seconds):
    """Returns the seconds at which a line came, at four updates a second."""
    printed = []
    for tick in range(4 * seconds):
        before = len(stream.getvalue())
        progress.update(Status(seconds=tick / 4, env_steps=tick))
        if len(stream.getvalue()) > before:
            printed.append(tick / 4)
        clock.now += 0.25
    return printed


def test_plain_lines_come_at_intervals_that_grow(clock, stream):
    progress = Progress(stream, clock=clock)
    printed = _count_lines(progress, clock, stream, 600)
    gaps = [b - a for a, b in zip(printed, printed[1:], strict=False)]
    assert printed[0] == 0.0
    assert gaps[0] == 3.0
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60.0
    assert len(printed) < 20


def test_better_evaluations_are_printed_at_once(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.update(Status())
    for best in (0.0, 0.0, 0.5, 0.5, 0.75):
        progress.update(Status(evaluation_return=best, best_return=best))
    lines = stream.getvalue().splitlines()
    assert [line.partition("(best ")[2] for line in lines] == [
        "",
        "0)",
        "0.5)",
        "0.75)",
    ]


def test_the_last_status_is_printed_at_the_end_once(clock, stream):
    progress = Progress(stream, clock=clock)
    progress.update(Status(env_steps=1))
    progress.update(Status(env_steps=2))
    progress.update(Status(env_steps=3))
    assert len(stream.getvalue().splitlines()) == 1
    progress.close()
    progress.close()
    assert len(stream.getvalue().splitlines()) == 2
    assert "env_steps 3 " in stream.getvalue()


@pytest.mark.parametrize("interactive", [False, True])
def test_nothing_is_shown_after_close(interactive, stream):
    progress = Progress(stream, interactive=interactive)
    progress.stage("starting")
    progress.start(_CONFIG)
    progress.close()
    shown = stream.getvalue()
    progress.stage("more")
    progress.start(_CONFIG)
    progress.note("more")
    progress.update(_STATUS)
    progress.close()
    assert stream.getvalue() == shown


@pytest.mark.parametrize("interactive", [False, True])
def test_close_alone_shows_nothing(interactive, stream):
    Progress(stream, interactive=interactive).close()
    assert stream.getvalue() == ""


def test_a_reader_that_has_gone_does_not_end_the_run(clock):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    progress = Progress(stream, clock=clock)
    progress.stage("starting")
    progress.update(_STATUS)
    progress.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_terminal_that_was_closed_does_not_end_the_run(clock):
    terminal, near = pty.openpty()
    stream = os.fdopen(near, "w")
    progress = Progress(stream, interactive=True, clock=clock)
    progress.stage("starting")
    os.close(terminal)
    progress.note("nobody reads this")
    progress.stage("stopping")
    progress.update(_STATUS)
    progress.close()
    with pytest.raises(OSError, match="Input/output error"):
        os.write(near, b"it is closed indeed")
    with contextlib.suppress(OSError):
        stream.close()


def test_stderr_is_where_it_is_shown(capsys):
    Progress().stage("starting")
    assert capsys.readouterr().err == "    0.0 s  starting\n"


@pytest.mark.parametrize(
    ("is_terminal", "term", "interactive"),
    [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)],
)
def test_a_terminal_is_found_out(is_terminal, term, interactive, stream, monkeypatch):
    monkeypatch.setenv("TERM", term)
    stream.isatty = lambda: is_terminal
    progress = Progress(stream)
    progress.stage("starting")
    progress.start(_CONFIG)
    progress.close()
    assert ("\x1b[" in stream.getvalue()) == interactive


_SHOW = """
import sys
from distrl.config import Config, StopConfig
from distrl.telemetry.placement import GroupPlacement
from distrl.telemetry.progress import Progress
from distrl.telemetry.status import Status
progress = Progress()
progress.stage("importing")
{lines}
print("rich" in sys.modules)
"""


def _show_on_terminal(lines):
    """Returns what code shows on a terminal, its stdout, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _SHOW.format(lines=lines)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 65_536)
        except OSError:  # The other side has closed.
            break
        if not block:
            break
        shown += block
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    return shown.decode(), out.decode(), process.returncode


_HIDE, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_the_table_on_a_terminal():
    shown, out, code = _show_on_terminal(
        f"config = Config(name='catch', stop={_CONFIG.stop!r})\n"
        "progress.start(config)\n"
        "progress.note('not isolated [really]')\n"
        "progress.place([GroupPlacement('actor', 7, ('box',), 'cpu', 512)])\n"
        f"progress.update({_STATUS!r})\n"
        "progress.close()\nprogress.close()"
    )
    assert (code, out) == (0, "True\n")
    for words in (
        "importing", "catch: double_dqn on bsuite:catch/0", "env steps/s", "625",
        "learner steps/s", "150", "samples per insert", "31.9", "replay size", "2,400",
        "parameter staleness", "16", "0.25 at step 500", "best evaluation", "0.5",
        "2,500 of 10,000", "box", "512 MiB", "note: not isolated [really]",
    ):  # fmt: skip
        assert words in shown
    assert shown.rindex(_SHOW_CURSOR) > shown.rindex(_HIDE)


def test_the_terminal_is_whole_again_after_an_error():
    shown, _, code = _show_on_terminal(
        "try:\n    raise SystemExit(3)\nfinally:\n    progress.close()"
    )
    assert code == 3
    assert shown.rindex(_SHOW_CURSOR) > shown.rindex(_HIDE)


def test_a_run_that_never_began_leaves_nothing_on_the_terminal():
    shown, _, _ = _show_on_terminal("progress.close()")
    # The line is erased after it was drawn for the last time.
    assert shown.rindex("\x1b[2K") > shown.rindex("importing")


def test_rich_is_not_imported_on_a_pipe():
    done = subprocess.run(
        [sys.executable, "-c", _SHOW.format(lines="progress.close()")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("False\n", 0)
    assert done.stderr == "    0.0 s  importing\n"
