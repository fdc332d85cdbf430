"""Signs of life: how a node's process shows that it works, and who has stopped to.

A node's role asks again and again whether it is to stop. Its process tells the
supervisor, about once a second, whether its main thread has asked since. So a process
that is stopped is found, and so is a main thread that is stuck.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident

from distrl.launch.channel import Channel
from distrl.launch.messages import Sign
from distrl.launch.working_clock import WorkingClock

_LONGEST_PERIOD = 1.0
# In how many signs a node has to show that it lives.
_SIGNS = 4


class LookedAtEvent(threading.Event):
    """An event that knows when the thread that made it looks at it."""

    def __init__(self) -> None:
        """Starts unset."""
        super().__init__()
        self._owner = get_ident()
        self._looks = 0
        self._waiting = False

    def is_set(self) -> bool:
        """Whether it is set; counts as a look."""
        # Actors ask before every step: `super()` would take as long again as this.
        if get_ident() == self._owner:
            self._looks += 1
        return threading.Event.is_set(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to `timeout` seconds; counts as a look all the time."""
        if get_ident() != self._owner:
            return super().wait(timeout)
        self._waiting = True
        try:
            return super().wait(timeout)
        finally:
            self._looks += 1
            self._waiting = False

    def count_looks(self) -> int | None:
        """Returns how often its thread has looked; None while it waits here."""
        return None if self._waiting else self._looks


def signing_period(silent_seconds: float) -> float:
    """Returns the seconds between two signs of a node."""
    return min(_LONGEST_PERIOD, silent_seconds / _SIGNS)


def send_signs(name: str, event: LookedAtEvent, outbox: Channel, period: float) -> None:
    """Starts a thread that sends a sign of life of this process every `period` seconds.

    Args:
      name: of the node.
      event: whose thread must look at it now and then.
      outbox: where the supervisor listens.
      period: in seconds.
    """

    def send() -> None:
        before = 0
        while True:
            looks = event.count_looks()
            looked = looks is None or looks != before
            before = before if looks is None else looks
            # One that does not get through is made good by the next.
            outbox.offer(Sign(name, os.getpid(), looked))
            time.sleep(period)

    threading.Thread(target=send, name="signs", daemon=True).start()


@dataclass
class _Life:
    """When a node began and last showed itself; `look` is None before its first."""

    begun: float
    sign: float
    look: float | None = None
    is_late: bool = False


class Watch:
    """Knows for each node how long it has been silent.

    Its clock counts two periods at most from one call of `tick` to the next, so that
    nodes do not look silent when it was this process that was stopped.
    """

    def __init__(
        self,
        silent_seconds: float,
        start_seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes both as in `launch`, and the time in seconds."""
        self.period = signing_period(silent_seconds)
        """The seconds after which to call `tick` again, and in which nodes sign."""
        self._silent = silent_seconds
        self._start = start_seconds
        self._clock = WorkingClock(2 * self.period, clock)
        self._lives: dict[str, _Life] = {}

    @property
    def now(self) -> float:
        """The seconds that this process has worked, as of the last `tick`."""
        return self._clock.now

    def tick(self) -> None:
        """Lets time go on."""
        self._clock.tick()

    def begin(self, node: str) -> None:
        """Expects signs of a node from now on."""
        self._lives[node] = _Life(self.now, self.now)

    def forget(self, node: str) -> None:
        """Expects nothing of a node any more."""
        self._lives.pop(node, None)

    def note(self, node: str, looked: bool) -> None:
        """Takes a sign; `looked` is whether the main thread had looked at its flag."""
        life = self._lives.get(node)
        if life is None:
            return
        life.sign = self.now
        if looked:
            life.look = self.now

    def find_hung(self) -> dict[str, str]:
        """Returns which nodes hang, with what each has failed to do."""
        hung = {}
        for node, life in self._lives.items():
            limit = f"for {self._silent:g} s (launch.silent_seconds)"
            if self.now - life.sign > self._silent:
                hung[node] = f"gave no sign of life {limit}"
            elif life.look is None:
                if self._start is not None and self.now - life.begun > self._start:
                    hung[node] = (
                        f"did not begin to work within {self._start:g} s "
                        "(launch.start_seconds)"
                    )
            elif self.now - life.look > self._silent:
                hung[node] = f"hung: its main thread did not get on {limit}"
        return hung

    def find_late(self) -> list[str]:
        """Returns the nodes that have newly taken `silent_seconds` without working."""
        late = []
        for node, life in self._lives.items():
            waited = self.now - life.begun > self._silent
            if life.look is None and waited and not life.is_late:
                life.is_late = True
                late.append(node)
        return late

    def find_silence(self, node: str) -> float | None:
        """Returns the seconds since a main thread looked at its flag; None: never."""
        life = self._lives.get(node)
        return None if life is None or life.look is None else self.now - life.look
