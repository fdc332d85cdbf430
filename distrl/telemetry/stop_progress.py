"""How far a run is on its way to each of its stop conditions."""

import dataclasses
from collections import deque
from dataclasses import dataclass

from distrl.config.schema import StopConfig
from distrl.telemetry.status import Status

_WINDOW_SECONDS = 20.0


@dataclass(frozen=True)
class StopProgress:
    """The way to one stop condition.

    Attributes:
      name: its field in `StopConfig`.
      value: where the run is; None while there is no figure.
      target: where it stops.
      fraction: the part of the way that is done, 0 to 1.
      seconds_left: at the recent rate; None while that is not known.
    """

    name: str
    value: float | None
    target: float
    fraction: float
    seconds_left: float | None


class StopTracker:
    """Follows the status of a run towards its stop conditions."""

    def __init__(self, stop: StopConfig):
        """Takes the conditions; those that are None are left out."""
        conditions = dataclasses.asdict(stop).items()
        self._targets = {name: goal for name, goal in conditions if goal is not None}
        self._recent: deque[Status] = deque()
        self._first_return: float | None = None

    def update(self, status: Status) -> list[StopProgress]:
        """Takes the newest status and returns the way to each condition."""
        if self._recent and status.seconds < self._recent[-1].seconds:
            # The coordinator was restarted and counts its seconds from 0 again.
            self._recent.clear()
        self._recent.append(status)
        while status.seconds - self._recent[0].seconds > _WINDOW_SECONDS:
            self._recent.popleft()
        if self._first_return is None:
            self._first_return = status.evaluation_return
        return [self._measure(name, goal) for name, goal in self._targets.items()]

    def _measure(self, name: str, target: float) -> StopProgress:
        first, last = self._recent[0], self._recent[-1]
        value = getattr(last, name)
        if value is None:
            return StopProgress(name, None, target, 0.0, None)
        if name == "evaluation_return":
            # Returns begin anywhere and grow unsteadily: no rate predicts them.
            start = value if self._first_return is None else self._first_return
            return StopProgress(
                name, value, target, _find_fraction(start, value, target), None
            )
        seconds, steps = last.seconds - first.seconds, value - getattr(first, name)
        left = None
        if value >= target:
            left = 0.0
        elif seconds > 0 and steps > 0:
            left = (target - value) * seconds / steps
        return StopProgress(
            name, value, target, _find_fraction(0.0, value, target), left
        )


def _find_fraction(start: float, value: float, target: float) -> float:
    if value >= target:
        return 1.0
    if start >= target:
        return 0.0
    return min(1.0, max(0.0, (value - start) / (target - start)))
