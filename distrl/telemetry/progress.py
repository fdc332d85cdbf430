"""The progress of a run and of a sweep on stderr."""

from collections.abc import Mapping
from typing import Any

from distrl.config.schema import Config
from distrl.telemetry.display import Display
from distrl.telemetry.status import Status
from distrl.telemetry.words import (
    describe_run,
    list_figures,
    make_node_table,
    show_number,
    stop_conditions,
)

# In seconds; the intervals between lines grow, so that the log of a long run is short.
_FIRST_INTERVAL = 3.0
_LAST_INTERVAL = 60.0
_GROWTH = 1.5
# A restart of the variable service takes less, and deserves no warning.
_TOLERANCE_SECONDS = 10.0


class Progress(Display):
    """The progress of a run: redrawn on a terminal, occasional lines elsewhere."""

    _config: Config | None = None
    _is_stale = False
    _best: float | None = None
    _interval = _FIRST_INTERVAL
    _due = 0.0
    _unseen: str | None = None

    def stage(self, text: str) -> None:
        """Shows what the run is doing, for example `starting the nodes`."""
        if text != self._stage:
            self._stage = text
            self._show(text)

    def start(self, config: Config) -> None:
        """Shows what the run trains; progress is measured by its stop conditions."""
        self._config = config
        self._title = describe_run(config)
        self._show(self._title)

    def place(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """Shows the nodes of program.json as a table, on a terminal only."""
        self._table(make_node_table(nodes))

    def update(self, status: Status) -> None:
        """Shows the counts and rates of the run; cheap enough to call often."""
        self._note_staleness(status.staleness_seconds)
        goals = self._measure(status)
        self._figures = list_figures(status)
        self._refresh()
        if not self._is_terminal:
            known = [f"{name} {text}" for name, text in self._figures if text != "-"]
            self._print_if_due(", ".join(known + goals), status.best_return)

    def note(self, text: str) -> None:
        """Prints a line that is never redrawn or left out."""
        self._line(f"note: {text}")

    def close(self, erase: bool = False) -> None:
        """Prints the last status and stops; may be called twice."""
        if self._unseen is not None:
            self._line(self._unseen)
        super().close(erase or self._config is None)

    def _show(self, line: str) -> None:
        self._refresh()
        if not self._is_terminal:
            self._line(line)

    def _print_if_due(self, line: str, best: float | None) -> None:
        self._unseen = line
        is_better = best is not None and best != self._best
        if is_better or self._elapsed >= self._due:
            self._line(line)
            self._unseen, self._best = None, best
            self._due = self._elapsed + self._interval
            self._interval = min(self._interval * _GROWTH, _LAST_INTERVAL)

    def _note_staleness(self, seconds: float | None) -> None:
        """Notes when an actor falls too far behind, and when all have caught up."""
        if self._config is None:
            return
        usual = self._config.usual_staleness_seconds
        limit = self._config.variables.stale_seconds
        limit = usual + _TOLERANCE_SECONDS if limit is None else limit
        is_stale = seconds is not None and seconds > limit
        if is_stale and not self._is_stale:
            self.note(
                f"an actor's parameters are {show_number(seconds)} s older than those "
                f"of the variable service; more than {limit:g} s "
                f"(variables.stale_seconds) is too much, {usual:g} s is usual; "
                "staleness_seconds in metrics/actor/ says which actor"
            )
        elif self._is_stale and not is_stale:
            self.note("all actors have new parameters again")
        self._is_stale = is_stale

    def _measure(self, status: Status) -> list[str]:
        """Moves the bar of each stop condition, and returns their states in words.

        A return has no bar: it begins anywhere and grows unsteadily.
        """
        if self._config is None:
            return []
        return [
            self._set_bar(name, getattr(status, name), target)
            for name, target in stop_conditions(self._config).items()
            if name != "evaluation_return"
        ]


class SweepProgress(Display):
    """Shows the progress of a sweep: a line per finished id, and bars on a terminal."""

    _total = _ended = 0

    def start(self, total: int, done: int) -> None:
        """Shows the number of ids, and how many an earlier call has done."""
        self._total, self._ended = total, done
        self._line(f"{total} ids, {done} of them done before")
        self.update("all ids", done, total)

    def update(self, name: str, done: int, total: int) -> None:
        """Moves the bar of an id to the number of episodes that have ended."""
        self._set_bar(name, done, total)
        self._refresh()

    def end(self, bsuite_id: str, text: str, is_done: bool = False) -> None:
        """Prints how an id ended, and removes its bar."""
        self._ended += is_done
        self._line(f"{bsuite_id} {text} ({self._ended} of {self._total})")
        self._remove_bar(bsuite_id)
        self.update("all ids", self._ended, self._total)
