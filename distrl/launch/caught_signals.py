"""SIGINT, SIGTERM and SIGHUP, as what a loop waits for with `select`."""

import os
import signal
import threading
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CaughtSignals:
    """Catches the signals until it is closed; a loop waits for it as for a file.

    In another thread than the main one nothing can be caught, and nothing is. Nor is
    SIGHUP where it is ignored, as under `nohup`.
    """

    def __init__(self) -> None:
        """Begins to catch."""
        self.first: int | None = None
        """The number of the first one; None before it."""
        self.is_repeated = False
        """Whether somebody insists: do not wait for anybody.

        SIGHUP does not: a terminal that closes may send it twice, and SIGTERM as well.
        """
        self._asked = 0
        self._handlers: dict[int, Any] = {}
        self._reader, self._writer = os.pipe()
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if (
                    number == signal.SIGHUP
                    and signal.getsignal(number) == signal.SIG_IGN
                ):
                    continue
                self._handlers[number] = signal.signal(number, self._note)

    def fileno(self) -> int:
        """Returns what can be read once a signal has come."""
        return self._reader

    def read(self) -> None:
        """Makes `fileno` wait for the next one."""
        os.read(self._reader, 64)

    def close(self) -> None:
        """Gives the signals back to whom they were with."""
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
