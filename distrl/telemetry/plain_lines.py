"""Progress as plain lines, for a pipe or a file."""

from collections.abc import Callable, Sequence
from typing import TextIO

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

_FIRST_INTERVAL = 3.0
_LAST_INTERVAL = 60.0
_GROWTH = 1.5


class PlainLines:
    """Prints each stage and note, each better evaluation, and a status now and then.

    The interval between two statuses grows, so that a long run prints little.
    """

    def __init__(self, stream: TextIO, elapsed: Callable[[], float]):
        """Takes where to print, and the seconds since the start."""
        self._stream = stream
        self._elapsed = elapsed
        self._stage: str | None = None
        self._interval = _FIRST_INTERVAL
        self._due = 0.0
        self._best: float | None = None
        self._unseen: str | None = None

    def stage(self, text: str) -> None:
        """Prints what the run is doing, if that is new."""
        if text != self._stage:
            self._stage = text
            self._print(text)

    def start(self, config: Config) -> None:
        """Prints what is run."""
        self._print(describe_run(config))

    def place(self, rows: Sequence[GroupPlacement]) -> None:
        """Prints nothing: it would be half a page before the first line of a log."""

    def update(self, status: Status, conditions: Sequence[StopProgress]) -> None:
        """Prints the status if it is time, or if there is a better evaluation."""
        line = format_status(status, conditions)
        better = status.best_return is not None and status.best_return != self._best
        if better or self._elapsed() >= self._due:
            self._best = status.best_return
            self._print(line)
            self._due = self._elapsed() + self._interval
            self._interval = min(self._interval * _GROWTH, _LAST_INTERVAL)
            self._unseen = None
        else:
            self._unseen = line

    def note(self, text: str) -> None:
        """Prints a line that must be seen."""
        self._print(f"note: {text}")

    def close(self) -> None:
        """Prints the last status, if it was not printed."""
        if self._unseen is not None:
            self._print(self._unseen)

    def _print(self, text: str) -> None:
        line = make_plain(f"{self._elapsed():7.1f} s  {text}")
        print(line, file=self._stream, flush=True)


def format_status(status: Status, conditions: Sequence[StopProgress]) -> str:
    """Returns a status on one line."""
    parts = [
        f"env_steps {show_number(status.env_steps)} "
        f"({show_number(status.env_steps_per_second)}/s)",
        f"learner_steps {show_number(status.learner_steps)} "
        f"({show_number(status.learner_steps_per_second)}/s)",
        f"samples/insert {show_number(status.samples_per_insert)}",
        f"replay {show_number(status.replay_size)}",
        f"staleness {show_staleness(status)}",
    ]
    if status.evaluation_return is not None:
        parts.append(
            f"evaluation {show_evaluation(status)} "
            f"(best {show_number(status.best_return)})"
        )
    if status.failed_saves > 0:
        parts.append(f"failed saves {show_number(status.failed_saves)}")
    for each in conditions:
        left = ""
        if each.seconds_left is not None:
            left = f" ({show_seconds(each.seconds_left)} left)"
        parts.append(f"{100 * each.fraction:.0f}% of {each.name}{left}")
    return ", ".join(parts)
