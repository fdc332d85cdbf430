"""The progress of a run and of a sweep on stderr."""

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

# In seconds; the intervals between lines grow, so that the log of a long run is short.
_FIRST_INTERVAL = 3.0
_LAST_INTERVAL = 60.0
_GROWTH = 1.5
# A restart of the variable service takes less, and deserves no warning.
_TOLERANCE_SECONDS = 10.0


class Progress:
    """The progress of a run: redrawn on a terminal, occasional lines elsewhere."""

    def __init__(
        self,
        stream: TextIO | None = None,
        interactive: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Writes to `stream`, by default stderr; None detects if it is a terminal."""
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
        """Shows what the run trains; progress is measured by its stop conditions."""
        self._config = config
        self._display.title = describe_run(config)
        self._show(self._display.title)

    def place(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """Shows the nodes of program.json as a table, on a terminal only."""
        self._display.table(make_node_table(nodes))

    def update(self, status: Status) -> None:
        """Shows the counts and rates of the run; cheap enough to call often."""
        self._note_staleness(status.staleness_seconds)
        goals = self._measure(status)
        self._display.figures = list_figures(status)
        self._display.refresh()
        if not self._display.is_terminal:
            known = [pair for pair in self._display.figures if pair[1] != "-"]
            line = ", ".join([f"{name} {text}" for name, text in known] + goals)
            self._print_if_due(line, status.best_return)

    def note(self, text: str) -> None:
        """Prints a line that is never redrawn or left out."""
        self._display.line(f"note: {text}")

    def close(self) -> None:
        """Prints the last status and stops; may be called twice."""
        if self._unseen is not None:
            self._display.line(self._unseen)
        self._display.close(erase=self._config is None)

    def _show(self, line: str) -> None:
        self._display.refresh()
        if not self._display.is_terminal:
            self._display.line(line)

    def _print_if_due(self, line: str, best: float | None) -> None:
        self._unseen = line
        is_better = best is not None and best != self._best
        if is_better or self._display.elapsed >= self._due:
            self._display.line(line)
            self._unseen, self._best = None, best
            self._due = self._display.elapsed + self._interval
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
        """Moves the bar of each stop condition, and returns their states in words."""
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
    """Shows the progress of a sweep: a line per finished id, and bars on a terminal."""

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
        """Shows the number of ids, and how many an earlier call has done."""
        self._total, self._ended = total, done
        self._display.line(f"{total} ids, {done} of them done before")
        self._move("all ids", done, total)

    def begin(self, bsuite_id: str, episodes: int) -> None:
        """Adds a bar for an id with its number of episodes."""
        self._episodes[bsuite_id] = episodes
        self.update(bsuite_id, 0)

    def update(self, bsuite_id: str, episodes: int) -> None:
        """Moves the bar of an id to the number of episodes that have ended."""
        self._move(bsuite_id, episodes, self._episodes[bsuite_id])

    def end(self, bsuite_id: str, text: str, is_done: bool = False) -> None:
        """Prints how an id ended, and removes its bar."""
        self._ended += is_done
        self._display.line(f"{bsuite_id} {text} ({self._ended} of {self._total})")
        self._display.remove_bar(bsuite_id)
        self._move("all ids", self._ended, self._total)

    def close(self) -> None:
        """Stops; may be called twice."""
        self._display.close()

    def _move(self, name: str, done: int, total: int) -> None:
        text = f"{show_number(done)} of {show_number(total)}"
        self._display.set_bar(name, done, total, text)
        self._display.refresh()


def _return_fraction(first: float | None, value: float | None, target: float) -> float:
    """Returns the fraction of the way from the first return to the target."""
    if first is None or value is None:
        return 0.0
    if value >= target or first >= target:
        return float(value >= target)
    return max(0.0, (value - first) / (target - first))
