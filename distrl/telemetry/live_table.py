"""Progress as a table that is redrawn in place, for a terminal."""

from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distrl.config.schema import Config
from distrl.plain_text import make_plain
from distrl.telemetry.placement import GroupPlacement
from distrl.telemetry.staleness import show_staleness
from distrl.telemetry.status import Status
from distrl.telemetry.stop_progress import StopProgress
from distrl.telemetry.words import (
    describe_run,
    show_evaluation,
    show_number,
    show_seconds,
)

_REDRAWS_PER_SECOND = 4
_BAR_WIDTH = 30


class LiveTable:
    """Draws the newest stage and status; a thread of rich keeps the clock going."""

    def __init__(self, stream: TextIO, elapsed: Callable[[], float]):
        """Takes the terminal, and the seconds since the start; draws nothing yet."""
        self._elapsed = elapsed
        self._stage = ""
        self._config: Config | None = None
        self._shown: tuple[Status, Sequence[StopProgress]] | None = None
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REDRAWS_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def stage(self, text: str) -> None:
        """Shows what the run is doing."""
        self._stage = text
        self._live.start(refresh=True)

    def start(self, config: Config) -> None:
        """Shows what is run."""
        self._config = config
        self._live.start(refresh=True)

    def place(self, rows: Sequence[GroupPlacement]) -> None:
        """Prints where the nodes are above the table, where it stays."""
        self._console.print(make_placement(rows))

    def update(self, status: Status, conditions: Sequence[StopProgress]) -> None:
        """Shows the counts and rates of a run."""
        self._shown = (status, conditions)
        self._live.start(refresh=True)

    def note(self, text: str) -> None:
        """Prints a line above the table, where it stays."""
        self._console.print(Text(make_plain(f"note: {text}")), soft_wrap=True)

    def close(self) -> None:
        """Ends the drawing; what was drawn stays if the run had begun."""
        self._live.transient = self._config is None
        self._live.stop()

    def _draw(self) -> Group:
        lines: list[Text | Table] = []
        if self._config is not None:
            lines.append(Text(make_plain(describe_run(self._config)), style="bold"))
        doing = Text(make_plain(self._stage), style="cyan")
        doing.append(f"  {show_seconds(self._elapsed())}", style="dim")
        lines.append(doing)
        if self._shown is not None:
            status, conditions = self._shown
            lines += [make_figures(status), make_bars(conditions)]
        return Group(*lines)


def make_placement(rows: Sequence[GroupPlacement]) -> Table:
    """Returns where the nodes are, a row a group."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("group", "nodes", "host", "devices", "memory"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(
            row.group,
            show_number(row.nodes),
            " ".join(row.hosts),
            row.devices,
            f"{show_number(row.memory_mib)} MiB",
        )
    return table


def make_figures(status: Status) -> Table:
    """Returns the counts and rates of a run, two in a row."""
    figures = [
        ("env steps/s", show_number(status.env_steps_per_second)),
        ("learner steps/s", show_number(status.learner_steps_per_second)),
        ("env steps", show_number(status.env_steps)),
        ("learner steps", show_number(status.learner_steps)),
        ("samples per insert", show_number(status.samples_per_insert)),
        ("replay size", show_number(status.replay_size)),
        ("parameter staleness", show_staleness(status)),
        ("nodes alive", show_number(status.nodes_alive)),
        ("latest evaluation", show_evaluation(status)),
        ("best evaluation", show_number(status.best_return)),
        ("checkpoint of step", show_number(status.checkpoint)),
        ("failed saves", show_number(status.failed_saves)),
    ]
    table = Table.grid(padding=(0, 3))
    for left, right in zip(figures[::2], figures[1::2], strict=True):
        table.add_row(Text(left[0], "dim"), left[1], Text(right[0], "dim"), right[1])
    return table


def make_bars(conditions: Sequence[StopProgress]) -> Table:
    """Returns a bar for the way to each stop condition, and the time left."""
    table = Table.grid(padding=(0, 2))
    for each in conditions:
        left = ""
        if each.seconds_left is not None:
            left = f"{show_seconds(each.seconds_left)} left"
        table.add_row(
            Text(each.name, "dim"),
            ProgressBar(total=1.0, completed=each.fraction, width=_BAR_WIDTH),
            f"{show_number(each.value)} of {show_number(each.target)}",
            left,
        )
    return table
