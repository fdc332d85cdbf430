"""What a run and a sweep show on stderr while they start, work and end."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from distrl.config.schema import Config
from distrl.telemetry.status import Status
from distrl.telemetry.words import (
    describe_run,
    list_figures,
    make_node_table,
    show_number,
    stop_conditions,
)

# A pipe gets a status at intervals that grow, so that a long run prints little.
_FIRST_INTERVAL = 3.0
_LAST_INTERVAL = 60.0
_GROWTH = 1.5
# Longer than a restart of the variable service takes, which is not worth a warning.
_TOLERANCE_SECONDS = 10.0


class Progress:
    """Shows a run: a table on a terminal, a line now and then elsewhere.

    After `close`, or once the reader is gone, every call does nothing.
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
        # Rich takes a tenth of a second to import.
        from distrl.telemetry.display import Display

        self._display = Display(stream, interactive, clock)
        self._config: Config | None = None
        self._is_stale = False
        self._first_return: float | None = None
        self._best: float | None = None
        self._interval = _FIRST_INTERVAL
        self._due = 0.0
        self._unseen: str | None = None

    def stage(self, text: str) -> None:
        """Shows what the run is doing, for example `starting the nodes`."""
        if text != self._display.stage:
            self._display.stage = text
            self._show(text)

    def start(self, config: Config) -> None:
        """Shows what is run; `update` measures the way to its stop conditions."""
        self._config = config
        self._display.title = describe_run(config)
        self._show(self._display.title)

    def place(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """Shows on a terminal where the nodes are; elsewhere program.json is enough.

        Args:
          nodes: those of program.json.
        """
        self._display.table(make_node_table(nodes))

    def update(self, status: Status) -> None:
        """Shows the counts and rates of the run; call it as often as you like."""
        self._note_staleness(status.staleness_seconds)
        goals = self._measure(status)
        self._display.figures = list_figures(status)
        self._display.refresh()
        if not self._display.is_terminal:
            known = [pair for pair in self._display.figures if pair[1] != "-"]
            line = ", ".join([f"{name} {text}" for name, text in known] + goals)
            self._print_if_due(line, status.best_return)

    def note(self, text: str) -> None:
        """Shows a line that must be seen, and stays."""
        self._display.line(f"note: {text}")

    def close(self) -> None:
        """Ends the display, after the last status; a second call does nothing."""
        if self._unseen is not None:
            self._display.line(self._unseen)
        self._display.close(erase=self._config is None)

    def _show(self, line: str) -> None:
        """Prints a line on a pipe; a terminal redraws what says the same."""
        self._display.refresh()
        if not self._display.is_terminal:
            self._display.line(line)

    def _print_if_due(self, line: str, best: float | None) -> None:
        """Prints a status now and then, and at each better evaluation."""
        self._unseen = line
        is_better = best is not None and best != self._best
        if is_better or self._display.elapsed >= self._due:
            self._display.line(line)
            self._unseen, self._best = None, best
            self._due = self._display.elapsed + self._interval
            self._interval = min(self._interval * _GROWTH, _LAST_INTERVAL)

    def _note_staleness(self, seconds: float | None) -> None:
        """Says once that an actor is too far behind, and once that none is any more."""
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
        """Moves the bar of each stop condition, and returns them in words."""
        if self._first_return is None:
            self._first_return = status.evaluation_return
        if self._config is None:
            return []
        goals = []
        for name, target in stop_conditions(self._config).items():
            value = getattr(status, name)
            text = f"{show_number(value)} of {show_number(target)}"
            if name == "evaluation_return":
                # Returns begin anywhere and grow unsteadily: no rate predicts them.
                done = _return_fraction(self._first_return, value, target)
                goals.append(self._display.set_bar(name, done, 1.0, text, False))
            else:
                goals.append(self._display.set_bar(name, value or 0, target, text))
        return goals


class SweepProgress:
    """Shows a sweep: a line for each id that ended, and on a terminal bars."""

    def __init__(
        self,
        stream: TextIO | None = None,
        interactive: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Shows nothing yet; the arguments are those of `Progress`."""
        from distrl.telemetry.display import Display

        self._display = Display(stream, interactive, clock)
        self._total = self._ended = 0
        self._episodes: dict[str, int] = {}

    def start(self, total: int, done: int) -> None:
        """Shows how many ids there are, and how many were done before."""
        self._total, self._ended = total, done
        self._display.line(f"{total} ids, {done} of them done before")
        self._move("all ids", done, total)

    def begin(self, bsuite_id: str, episodes: int) -> None:
        """Shows that an id runs, for so many episodes."""
        self._episodes[bsuite_id] = episodes
        self.update(bsuite_id, 0)

    def update(self, bsuite_id: str, episodes: int) -> None:
        """Shows how many episodes of an id have ended."""
        self._move(bsuite_id, episodes, self._episodes[bsuite_id])

    def end(self, bsuite_id: str, text: str, is_done: bool = False) -> None:
        """Shows how an id ended, as a line that stays."""
        self._ended += is_done
        self._display.line(f"{bsuite_id} {text} ({self._ended} of {self._total})")
        self._display.remove_bar(bsuite_id)
        self._move("all ids", self._ended, self._total)

    def close(self) -> None:
        """Ends the display; a second call does nothing."""
        self._display.close()

    def _move(self, name: str, done: int, total: int) -> None:
        text = f"{show_number(done)} of {show_number(total)}"
        self._display.set_bar(name, done, total, text)
        self._display.refresh()


def _return_fraction(first: float | None, value: float | None, target: float) -> float:
    """Returns which part of the way from the first return to the target is done."""
    if first is None or value is None:
        return 0.0
    if value >= target or first >= target:
        return float(value >= target)
    return max(0.0, (value - first) / (target - first))
