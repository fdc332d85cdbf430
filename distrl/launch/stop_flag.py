"""The stop of a node, by a pipe instead of a signal.

An environment may replace, block or ignore signals, but not this pipe. The parent of
the nodes writes to it once, and nobody empties it.
"""

import os
import select
import signal
import threading
from collections.abc import Callable
from threading import get_ident

from distrl.system.children import die_of

# A signal to every process of a run (systemd, `pkill -f`) reaches the front, too, and
# the stop that follows lets the nodes save.
_GRACE_SECONDS = 2.0


def is_told(reader: int, seconds: float | None = 0.0) -> bool:
    """Whether the stop comes within `seconds`; None waits without limit.

    The end of the process that holds the writing end counts as a stop.
    """
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    answers = poll.poll(None if seconds is None else 1000 * seconds)
    # POLLNVAL is ignored: an environment may have closed every descriptor.
    return any(events & (select.POLLIN | select.POLLHUP) for _, events in answers)


def call_when_told(reader: int, function: Callable[[], object]) -> None:
    """Calls `function` in a new thread when the stop comes."""

    def listen() -> None:
        if is_told(reader, None):
            function()

    threading.Thread(target=listen, name="stop", daemon=True).start()


class StopFlag(threading.Event):
    """Set when a node must end; counts how often its thread looks at it.

    It replaces Launchpad's WorkerManager, which installs its own signal handlers and
    kills the process tree: `lp.stop_event` and `lp.wait_for_stop` ask it.
    """

    def __init__(self) -> None:
        """Starts unset; counts the looks of the thread that makes it."""
        super().__init__()
        self._owner = get_ident()
        self._looks = 0
        self._waiting = False

    def stop_event(self) -> "StopFlag":
        """Returns itself."""
        return self

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

    wait_for_stop = wait

    def count_looks(self) -> int | None:
        """Returns how often its thread has looked; None while it waits."""
        return None if self._waiting else self._looks

    def die_of(self, number: int) -> None:
        """Makes a signal end this process, unless the whole run is stopping, too.

        A thread waits for it at the wake-up pipe: Python's handlers run in the main
        thread, which may be busy.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(number, lambda *_: None)

        def listen() -> None:
            while os.read(reader, 1)[0] != number:
                continue
            if not self.wait(_GRACE_SECONDS):
                die_of(number)

        threading.Thread(target=listen, name="signals", daemon=True).start()
