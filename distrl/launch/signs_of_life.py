"""Signs of life: show that a node's process works, and find those that have stopped.

A node keeps asking whether it must stop. About once a second, its process tells the
supervisor whether its main thread has asked since the last time. This reveals a stopped
process as well as a stuck main thread.
"""

import os
import threading
import time
from dataclasses import dataclass

from distrl.config import LaunchConfig
from distrl.launch.channel import Channel
from distrl.launch.messages import Sign
from distrl.launch.stop_flag import StopFlag


class WorkingClock:
    """A clock that stands still while its process does.

    It counts at most `longest` seconds from one `tick` to the next. So a process that
    was stopped for a while, as by Ctrl-Z, does not take others for silent.
    """

    def __init__(self, longest: float):
        """Starts at 0."""
        self.now = 0.0
        """The seconds counted so far."""
        self._longest = longest
        self._ticked = time.monotonic()

    def tick(self) -> float:
        """Counts the time since the last call, and returns `now`."""
        ticked = time.monotonic()
        self.now += min(ticked - self._ticked, self._longest)
        self._ticked = ticked
        return self.now


def signing_period(launch: LaunchConfig) -> float:
    """Returns the seconds between two signs; a silent node has missed four."""
    return min(1.0, launch.silent_seconds / 4)


def send_signs(name: str, flag: StopFlag, outbox: Channel, period: float) -> None:
    """Starts a thread that sends a node's sign of life every `period` seconds."""

    def send() -> None:
        before = 0
        while True:
            looks = flag.count_looks()
            looked = looks is None or looks != before
            before = before if looks is None else looks
            # If one does not get through, the next one will do.
            outbox.offer(Sign(name, os.getpid(), looked))
            time.sleep(period)

    threading.Thread(target=send, name="signs", daemon=True).start()


@dataclass
class Signs:
    """When a node began, signed, and looked at its flag: None before its first look."""

    began: float
    signed: float
    looked: float | None = None

    def describe_hang(self, now: float, launch: LaunchConfig) -> str | None:
        """Returns what a node that hangs has failed to do; None if it works."""
        silent, start = launch.silent_seconds, launch.start_seconds
        limit = f"for {silent:g} s (launch.silent_seconds)"
        if now - self.signed > silent:
            return f"gave no sign of life {limit}"
        if self.looked is None:
            if start is None or now - self.began <= start:
                return None
            return f"did not begin to work within {start:g} s (launch.start_seconds)"
        if now - self.looked > silent:
            return f"hung: its main thread did not get on {limit}"
        return None
