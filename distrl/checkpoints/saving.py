"""A node's part of each checkpoint, saved in a thread while the node works on."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distrl.checkpoints.freed_memory import return_freed_memory
from distrl.checkpoints.layout import LAST, begin_part
from distrl.config.schema import Config
from distrl.node_log import say
from distrl.types import StopSignal

_SLICE_SECONDS = 0.02


@dataclass(frozen=True)
class Part:
    """What a node saves of itself, as it was at one moment.

    Attributes:
      learner_steps: of the learner's part; None for another's.
      write: called in a thread with the directory to make.
    """

    learner_steps: int | None
    write: Callable[[Path], object]


class SaveReports(Protocol):
    """What a node hears and says of its saves; `Reporter` is one."""

    checkpoint: str | None
    run_learner_steps: int

    def is_due(self) -> bool:
        """Whether it is time to report."""

    def send(self) -> None:
        """Reports now."""

    def send_saved(self, name: str, learner_steps: int | None) -> bool:
        """Says that the node's part of a checkpoint is whole; False if unheard."""

    def send_failed_save(self, name: str, error: str) -> bool:
        """Says that the node's part cannot be saved; False if unheard."""


@dataclass(frozen=True)
class _Outcome:
    name: str
    learner_steps: int | None
    error: str | None


class PartSaver:
    """Saves one part of the checkpoints that the coordinator asks for.

    The node calls `poll` again and again, and `finish` once it is told to stop.
    """

    def __init__(
        self,
        config: Config,
        part: str,
        take: Callable[[], Part],
        reports: SaveReports,
        stop: StopSignal,
    ):
        """Makes a saver.

        Args:
          config: of the run, its `run_dir` set.
          part: the name of the part, that of the node: `learner`, `replay/0`.
          take: returns what the node is now; called by `poll` and `finish` in the
            thread that calls them.
          reports: the node's side of the coordinator.
          stop: looked at while `finish` waits, as a sign of life.
        """
        assert config.run_dir is not None
        self._run_dir = config.run_dir
        self._limits = (config.checkpoint.save_seconds, config.launch.stop_seconds / 2)
        self._part = part
        self._take = take
        self._reports = reports
        self._stop = stop
        self._begun: str | None = None
        self._thread: threading.Thread | None = None
        self._outcome: _Outcome | None = None

    def poll(self) -> None:
        """Begins a save that is asked for, and reports one that has ended."""
        if self._is_busy():
            return
        name = self._reports.checkpoint
        if name is not None and name != self._begun:
            self._begin(name)

    def finish(self) -> None:
        """Saves a last time; returns when that is reported, or takes too long."""
        save_seconds, report_seconds = self._limits
        self._await(save_seconds, report_seconds)
        if self._thread is not None:
            return
        self._begin(LAST)
        self._await(save_seconds, report_seconds)

    def _begin(self, name: str) -> None:
        part = self._take()
        self._begun, self._outcome = name, None
        self._thread = threading.Thread(
            target=self._write, args=(name, part), name="save", daemon=True
        )
        self._thread.start()

    def _write(self, name: str, part: Part) -> None:
        error = None
        try:
            part.write(begin_part(self._run_dir, name, self._part))
            return_freed_memory()
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            say(f"checkpoint {name}: {self._part} was not saved: {error}")
        self._outcome = _Outcome(name, part.learner_steps, error)

    def _is_busy(self) -> bool:
        """Whether a save is under way, or its end not yet heard of."""
        if self._thread is None:
            return False
        outcome = self._outcome
        if outcome is None:
            return True
        if outcome.error is None:
            heard = self._reports.send_saved(outcome.name, outcome.learner_steps)
        else:
            heard = self._reports.send_failed_save(outcome.name, outcome.error)
        if heard:
            self._thread = self._outcome = None
        return not heard

    def _await(self, save_seconds: float, report_seconds: float) -> None:
        """Waits for the end of a save and for its being heard of; reports meanwhile."""
        begun = time.monotonic()
        saved: float | None = None
        while self._is_busy():
            now = time.monotonic()
            if self._outcome is not None and saved is None:
                saved = now
            too_long = now - begun > save_seconds
            if too_long or (saved is not None and now - saved > report_seconds):
                say(f"{self._part}: the last save was given up")
                return
            if self._reports.is_due():
                self._reports.send()
            # That this thread looks at the flag is what shows that it lives.
            self._stop.is_set()
            time.sleep(_SLICE_SECONDS)
