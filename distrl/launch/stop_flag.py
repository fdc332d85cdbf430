"""The stop of a node, by a pipe instead of a signal.

An environment may replace, block or ignore signals, but not this pipe.
"""

import os
import select
import signal
import threading
from collections.abc import Callable

from distrl.launch.signs_of_life import LookedAtEvent
from distrl.system.children import die_of

# A signal to every process of a run (systemd, `pkill -f`) reaches the front, too, and
# the stop that follows lets the nodes save.
_GRACE_SECONDS = 2.0


class StopPipe:
    """A pipe that tells all processes with its reading end to stop, permanently."""

    def __init__(self) -> None:
        """Opens both ends."""
        self.reader, self._writer = os.pipe()

    def tell(self) -> None:
        """Makes the pipe readable; nobody empties it."""
        os.write(self._writer, b"!")

    def close_writer(self) -> None:
        """Closes the writing end, in a node."""
        os.close(self._writer)


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


class StopFlag:
    """Answers `lp.stop_event` and `lp.wait_for_stop` inside a node.

    It replaces Launchpad's WorkerManager, which installs its own signal handlers and
    kills the process tree.
    """

    def __init__(self) -> None:
        """Starts unset; counts the looks of the thread that makes it."""
        self._event = LookedAtEvent()

    def set(self) -> None:
        """Asks the node to end."""
        self._event.set()

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
            if not self._event.wait(_GRACE_SECONDS):
                die_of(number)

        threading.Thread(target=listen, name="signals", daemon=True).start()

    def stop_event(self) -> LookedAtEvent:
        """Returns the event that is set when the node must end."""
        return self._event

    def wait_for_stop(self, timeout_secs: float | None = None) -> bool:
        """Waits up to `timeout_secs` seconds; True when the node must end."""
        return self._event.wait(timeout_secs)
