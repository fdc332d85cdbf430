"""How far a sweep is: bars on a terminal, a line for each id elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from distrl.plain_text import make_plain


class SweepProgress:
    """Shows what runs and how each id ended; after `close` every call does nothing."""

    def __init__(
        self,
        stream: TextIO | None = None,
        interactive: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Shows nothing yet.

        Args:
          stream: where to show it; None is stderr.
          interactive: whether `stream` is a terminal that redraws; None finds out.
          clock: the time in seconds.
        """
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        if interactive is None:
            interactive = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._clock = clock
        self._began = clock()
        self._total = self._ended = 0
        self._bars: Any = _make_bars(self._stream) if interactive else None
        self._tasks: dict[str, Any] = {}

    def start(self, total: int, done: int) -> None:
        """Shows how many ids there are, and how many of them were done before."""
        self._total, self._ended = total, done
        self._say(f"{total} ids, {done} of them done before")
        if self._bars is not None:
            self._bars.start()
            self._tasks[""] = self._bars.add_task(
                "all ids", total=total, completed=done
            )

    def begin(self, bsuite_id: str, episodes: int) -> None:
        """Shows that an id runs, for so many episodes."""
        if self._bars is not None:
            self._tasks[bsuite_id] = self._bars.add_task(bsuite_id, total=episodes)

    def update(self, bsuite_id: str, episodes: int) -> None:
        """Shows the episodes that an id has made; often is fine."""
        if self._bars is not None:
            self._bars.update(self._tasks[bsuite_id], completed=episodes)

    def end(self, bsuite_id: str, text: str, is_done: bool = False) -> None:
        """Shows how an id ended, as a line that stays."""
        self._ended += is_done
        self._say(f"{bsuite_id} {text} ({self._ended} of {self._total})")
        if self._bars is not None:
            self._bars.remove_task(self._tasks.pop(bsuite_id))
            self._bars.update(self._tasks[""], completed=self._ended)

    def close(self) -> None:
        """Ends the display; a second call does nothing."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._stream = None

    def _say(self, text: str) -> None:
        line = make_plain(f"{self._clock() - self._began:8.1f} s  {text}")
        if self._bars is not None:
            self._bars.console.print(line, markup=False, soft_wrap=True)
        elif self._stream is not None:
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError):
                # Nobody reads any more; the sweep goes on.
                self._stream = None


def _make_bars(stream: TextIO) -> Any:
    # Rich takes time to import, and a pipe has no use for it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream, force_terminal=True, highlight=False),
        redirect_stdout=False,
        redirect_stderr=False,
    )
