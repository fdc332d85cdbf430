"""A clock that stands still while its process does."""

import time
from collections.abc import Callable


class WorkingClock:
    """Counts seconds, but at most `longest` from one `tick` to the next.

    So a process that was stopped for a while, as by Ctrl-Z, does not take the others
    for silent when it goes on.
    """

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic):
        """Takes the most that counts between two ticks, and the time, in seconds."""
        self.now = 0.0
        """The seconds counted so far."""
        self._longest = longest
        self._clock = clock
        self._ticked = clock()

    def tick(self) -> float:
        """Counts the time since the last call, and returns `now`."""
        ticked = self._clock()
        self.now += min(ticked - self._ticked, self._longest)
        self._ticked = ticked
        return self.now
