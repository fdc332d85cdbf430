"""What a run shows while it starts, trains and ends."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from distrl.config.schema import Config
from distrl.telemetry.placement import GroupPlacement
from distrl.telemetry.plain_lines import PlainLines
from distrl.telemetry.staleness import StalenessWatch
from distrl.telemetry.status import Status
from distrl.telemetry.stop_progress import StopProgress, StopTracker


class _Display(Protocol):
    def stage(self, text: str) -> None: ...

    def start(self, config: Config) -> None: ...

    def place(self, rows: Sequence[GroupPlacement]) -> None: ...

    def update(self, status: Status, conditions: Sequence[StopProgress]) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Progress:
    """A table that is redrawn on a terminal, plain lines now and then elsewhere.

    After `close` the terminal is as it was, and every call does nothing. So it is once
    the terminal or the reader is gone; the run does not depend on being watched.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        interactive: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Shows nothing yet.

        Args:
          stream: where to show it; None is stderr.
          interactive: whether `stream` is a terminal that redraws; None finds out.
          clock: the time in seconds.
        """
        stream = sys.stderr if stream is None else stream
        if interactive is None:
            interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
        began = clock()
        self._tracker: StopTracker | None = None
        self._watch: StalenessWatch | None = None
        self._display: _Display | None = _make_display(
            stream, interactive, lambda: clock() - began
        )

    def stage(self, text: str) -> None:
        """Shows what the run is doing, for example `starting the nodes`."""
        self._show(lambda display: display.stage(text))

    def start(self, config: Config) -> None:
        """Shows what is run; the stop conditions of `update` are its."""
        self._tracker = StopTracker(config.stop)
        self._watch = StalenessWatch(config)
        self._show(lambda display: display.start(config))

    def place(self, rows: Sequence[GroupPlacement]) -> None:
        """Shows on a terminal where the nodes are; elsewhere program.json is enough."""
        self._show(lambda display: display.place(rows))

    def update(self, status: Status) -> None:
        """Shows the counts and rates of the run; often is fine."""
        conditions = [] if self._tracker is None else self._tracker.update(status)
        line = None if self._watch is None else self._watch.update(status)
        if line is not None:
            self.note(line)
        self._show(lambda display: display.update(status, conditions))

    def note(self, text: str) -> None:
        """Shows a line that must be seen, and stays."""
        self._show(lambda display: display.note(text))

    def close(self) -> None:
        """Ends the display; a second call does nothing."""
        self._show(lambda display: display.close())
        self._display = None

    def _show(self, show: Callable[[_Display], None]) -> None:
        if self._display is None:
            return
        try:
            show(self._display)
        except (OSError, ValueError):
            self._display = None


def _make_display(
    stream: TextIO, interactive: bool, elapsed: Callable[[], float]
) -> _Display:
    if not interactive:
        return PlainLines(stream, elapsed)
    # Rich takes time to import, and a pipe has no use for it.
    from distrl.telemetry.live_table import LiveTable

    return LiveTable(stream, elapsed)
