"""Output for a person: timed lines, and on a terminal figures and progress bars."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, Task, TextColumn
from rich.table import Table
from rich.text import Text

from distrl.system.output import make_plain
from distrl.telemetry.words import show_number, show_seconds

_REDRAWS_PER_SECOND = 4
_BAR_WIDTH = 30
# The time left is predicted from the rate of the last so many seconds.
_RATE_SECONDS = 20.0


class Display:
    """Prints lines; on a terminal, also redraws a title, figures and bars below them.

    Writes no escape sequences elsewhere. Ignores errors of the stream: a run must not
    fail because its terminal was closed.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Writes to `stream`, by default stderr."""
        stream = sys.stderr if stream is None else stream
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._title = self._stage = ""
        self._figures: Sequence[tuple[str, str]] = ()
        self._clock = clock
        self._began = clock()
        self._is_open = True
        self._console = _Console(
            file=stream, force_terminal=self._is_terminal, highlight=False
        )
        self._bars = Progress(
            TextColumn("{task.description}", style="dim", markup=False),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[text]}", markup=False),
            get_time=clock,
            speed_estimate_period=_RATE_SECONDS,
        )
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REDRAWS_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def close(self, erase: bool = False) -> None:
        """Stops redrawing; `erase` removes the redrawn part, not the printed lines."""
        self._live.transient = erase
        self._try(self._live.stop)
        self._is_open = False

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _line(self, text: str) -> None:
        """Prints a line with the elapsed time."""
        line = Text(make_plain(f"{self._elapsed:7.1f} s  {text}"))
        self._try(lambda: self._console.print(line, soft_wrap=True))

    def _table(self, rows: Sequence[Sequence[str]]) -> None:
        """Prints a table, header first, on a terminal."""
        if not self._is_terminal:
            return
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in rows[0]:
            table.add_column(title, overflow="fold")
        for row in rows[1:]:
            table.add_row(*(Text(make_plain(cell)) for cell in row))
        self._try(lambda: self._console.print(table))

    def _set_bar(self, name: str, completed: float, total: float) -> str:
        """Adds or moves a progress bar, and returns its state in words."""
        task = self._find_bar(name)
        if task is None:
            self._bars.add_task(name, total=total, text="")
            task = self._bars.tasks[-1]
        self._bars.update(task.id, completed=completed)
        seconds = task.time_remaining
        left = "" if seconds is None else f"{show_seconds(seconds)} left"
        text = f"{show_number(completed)} of {show_number(total)}  {left}"
        self._bars.update(task.id, text=text.rstrip())
        words = f"{task.percentage:.0f}% of {name}"
        return f"{words} ({left})" if left else words

    def _remove_bar(self, name: str) -> None:
        task = self._find_bar(name)
        if task is not None:
            self._bars.remove_task(task.id)

    def _find_bar(self, name: str) -> Task | None:
        tasks = (task for task in self._bars.tasks if task.description == name)
        return next(tasks, None)

    def _refresh(self) -> None:
        """Starts redrawing, on a terminal."""
        if self._is_terminal:
            self._try(lambda: self._live.start(refresh=True))

    def _try(self, show: Callable[[], object]) -> None:
        if not self._is_open:
            return
        try:
            show()
        except (OSError, ValueError):
            self._is_open = False
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()

    def _draw(self) -> Group:
        parts: list[RenderableType] = []
        if self._title:
            parts.append(Text(make_plain(self._title), style="bold"))
        if self._stage:
            stage = Text(make_plain(self._stage), style="cyan")
            parts.append(stage.append(f"  {show_seconds(self._elapsed)}", style="dim"))
        grid = Table.grid(padding=(0, 3))
        for i in range(0, len(self._figures), 2):
            pairs = self._figures[i : i + 2]
            cells = ((Text(name, "dim"), Text(text)) for name, text in pairs)
            grid.add_row(*(cell for pair in cells for cell in pair))
        return Group(*parts, grid, self._bars)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the process.
        raise BrokenPipeError
