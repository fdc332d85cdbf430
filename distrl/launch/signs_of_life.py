"""Signs of life: show that a node's process works, and find those that have stopped.

A node keeps asking whether it must stop. About once a second, its process tells the
supervisor whether its main thread has asked since the last time. This reveals a stopped
process as well as a stuck main thread.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident

from distrl.launch.channel import Channel
from distrl.launch.messages import Sign

_LONGEST_PERIOD = 1.0
# How many signs a node misses before it counts as silent.
_SIGNS = 4


class WorkingClock:
    """A clock that stands still while its process does.

    It counts at most `longest` seconds from one `tick` to the next. So a process that
    was stopped for a while, as by Ctrl-Z, does not take others for silent.
    """

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic):
        """Takes the longest step that counts, in seconds, and the source of time."""
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


class LookedAtEvent(threading.Event):
    """An event that counts how often the thread that made it looks at it."""

    def __init__(self) -> None:
        """Starts unset."""
        super().__init__()
        self._owner = get_ident()
        self._looks = 0
        self._waiting = False

    def is_set(self) -> bool:
        """Whether it is set; counts as a look."""
        # Actors ask before every step, and `super()` would double the cost.
        if get_ident() == self._owner:
            self._looks += 1
        return threading.Event.is_set(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to `timeout` seconds; counts as looking all the time."""
        if get_ident() != self._owner:
            return super().wait(timeout)
        self._waiting = True
        try:
            return super().wait(timeout)
        finally:
            self._looks += 1
            self._waiting = False

    def count_looks(self) -> int | None:
        """Returns how often its thread has looked; None while it waits."""
        return None if self._waiting else self._looks


def signing_period(silent_seconds: float) -> float:
    """Returns the seconds between two signs of a node."""
    return min(_LONGEST_PERIOD, silent_seconds / _SIGNS)


def send_signs(name: str, event: LookedAtEvent, outbox: Channel, period: float) -> None:
    """Starts a thread that sends a node's sign of life every `period` seconds.

    The node's main thread must look at `event` now and then.
    """

    def send() -> None:
        before = 0
        while True:
            looks = event.count_looks()
            looked = looks is None or looks != before
            before = before if looks is None else looks
            # If one does not get through, the next one will do.
            outbox.offer(Sign(name, os.getpid(), looked))
            time.sleep(period)

    threading.Thread(target=send, name="signs", daemon=True).start()


@dataclass
class _Observed:
    """When a node began, signed and looked last; `look` is None before its first."""

    begun: float
    sign: float
    look: float | None = None
    is_late: bool = False


class Watch:
    """Records how long each node has been silent.

    Its clock counts at most two periods between ticks, so that nodes do not look silent
    when it was this process that was stopped.
    """

    def __init__(
        self,
        silent_seconds: float,
        start_seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes `launch.silent_seconds`, `launch.start_seconds`, the source of time."""
        self.period = signing_period(silent_seconds)
        """The seconds between two signs of a node, and between two calls of `tick`."""
        self._silent = silent_seconds
        self._start = start_seconds
        self._clock = WorkingClock(2 * self.period, clock)
        self._nodes: dict[str, _Observed] = {}

    @property
    def now(self) -> float:
        """The seconds that this process has worked, as of the last `tick`."""
        return self._clock.now

    def tick(self) -> None:
        """Advances the clock."""
        self._clock.tick()

    def begin(self, node: str) -> None:
        """Expects signs of a node from now on."""
        self._nodes[node] = _Observed(self.now, self.now)

    def forget(self, node: str) -> None:
        """Stops expecting signs of a node."""
        self._nodes.pop(node, None)

    def note(self, node: str, looked: bool) -> None:
        """Takes a sign; `looked` is whether the main thread had looked at its flag."""
        observed = self._nodes.get(node)
        if observed is not None:
            observed.sign = self.now
            observed.look = self.now if looked else observed.look

    def find_hung(self) -> dict[str, str]:
        """Returns the nodes that hang, with what each has failed to do."""
        hung = {}
        for node, observed in self._nodes.items():
            limit = f"for {self._silent:g} s (launch.silent_seconds)"
            if self.now - observed.sign > self._silent:
                hung[node] = f"gave no sign of life {limit}"
            elif observed.look is None:
                waited = self.now - observed.begun
                if self._start is not None and waited > self._start:
                    hung[node] = (
                        f"did not begin to work within {self._start:g} s "
                        "(launch.start_seconds)"
                    )
            elif self.now - observed.look > self._silent:
                hung[node] = f"hung: its main thread did not get on {limit}"
        return hung

    def find_late(self) -> list[str]:
        """Returns, once each, the nodes not at work after `silent_seconds`."""
        late = []
        for node, observed in self._nodes.items():
            waited = self.now - observed.begun > self._silent
            if observed.look is None and waited and not observed.is_late:
                observed.is_late = True
                late.append(node)
        return late

    def find_silence(self, node: str) -> float | None:
        """Returns the seconds since a main thread looked at its flag; None if never."""
        observed = self._nodes.get(node)
        if observed is None or observed.look is None:
            return None
        return self.now - observed.look
