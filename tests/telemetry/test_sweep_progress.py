"""The progress of a sweep, with a clock and a stream of the test's own."""

import io

from distrl.telemetry.sweep_progress import SweepProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class GoneReader(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def show(stream, interactive=None):
    clock = iter(range(0, 100, 5))
    progress = SweepProgress(stream, interactive, lambda: float(next(clock)))
    progress.start(4, 1)
    progress.begin("catch/0", 200)
    progress.update("catch/0", 50)
    progress.begin("mnist/0", 10)
    progress.end("mnist/0", "failed: no [network]")
    progress.update("catch/0", 200)
    progress.end("catch/0", "done: 200 episodes", is_done=True)
    progress.close()
    progress.close()
    return stream


LINES = [
    "     5.0 s  4 ids, 1 of them done before",
    "    10.0 s  mnist/0 failed: no [network] (1 of 4)",
    "    15.0 s  catch/0 done: 200 episodes (2 of 4)",
]


def test_a_pipe_gets_a_line_an_id():
    assert show(io.StringIO()).getvalue().splitlines() == LINES


def test_a_terminal_gets_bars_and_the_same_lines():
    text = show(Terminal(), interactive=True).getvalue()
    for line in LINES:
        assert line in text
    assert "all ids" in text
    assert "2/4" in text
    # The cursor is there again.
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_a_reader_that_has_gone_ends_nothing():
    show(GoneReader())
