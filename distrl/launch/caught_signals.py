"""SIGINT, SIGTERM and SIGHUP, for a loop that waits with `select`."""

import os
import signal
import threading
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CaughtSignals:
    """Catches the signals until it is closed; `select` waits for it as for a file.

    Only the main thread can catch signals; in other threads this does nothing. SIGHUP
    stays ignored where it is, as under `nohup`.
    """

    def __init__(self) -> None:
        """Starts to catch signals."""
        self.first: int | None = None
        """The number of the first signal, if any."""
        self.is_repeated = False
        """Whether the user insists: do not wait for anything.

        SIGHUP does not count: a terminal that closes may send it twice, with SIGTERM.
        """
        self._asked = 0
        self._handlers: dict[int, Any] = {}
        self._reader, self._writer = os.pipe()
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                is_ignored = signal.getsignal(number) == signal.SIG_IGN
                if not (is_ignored and number == signal.SIGHUP):
                    self._handlers[number] = signal.signal(number, self._note)

    def fileno(self) -> int:
        """Returns a descriptor that becomes readable when a signal arrives."""
        return self._reader

    def read(self) -> None:
        """Empties the pipe, so that `fileno` waits for the next signal."""
        os.read(self._reader, 64)

    def close(self) -> None:
        """Restores the previous handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, _: Any) -> None:
        if self.first is None:
            self.first = number
        self._asked += number != signal.SIGHUP
        self.is_repeated = self._asked > 1
        os.write(self._writer, b"!")
