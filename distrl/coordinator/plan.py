"""When a checkpoint is made, what it lacks yet, and when it is given up."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

from distrl.checkpoints import LAST, RunProgress
from distrl.config import CheckpointConfig


@dataclass
class Attempt:
    """A checkpoint that is being made.

    Attributes:
      name: under which its parts are saved.
      number: under which it is found once it is whole.
      began: in seconds of the caller's clock.
      progress: how far the run was then; its learner_steps are those of the
        learner's part once that is there.
      missing: the parts that are not there yet.
    """

    name: str
    number: str
    began: float
    progress: RunProgress
    missing: set[str]

    def take(self, part: str, learner_steps: int | None) -> None:
        """Notes that a part is there."""
        self.missing.discard(part)
        if learner_steps is not None:
            self.progress = dataclasses.replace(
                self.progress, learner_steps=learner_steps
            )


class CheckpointPlan:
    """Directs the checkpoints of a run; it touches no file and reads no clock."""

    def __init__(
        self,
        config: CheckpointConfig,
        parts: Collection[str],
        then: float,
        learner_steps: int,
        number: int,
    ):
        """Goes on from the newest whole checkpoint, or from the start of the run.

        Args:
          config: when one is due, and how long it may take.
          parts: what it must hold: the names of the nodes that save.
          then: when it was begun, in seconds of a monotonic clock.
          learner_steps: where the learner was then.
          number: of the newest checkpoint that was begun.
        """
        self._config = config
        self._parts = frozenset(parts)
        self._last = self._before = (then, learner_steps)
        self._final: Attempt | None = None
        self.number = number
        """Of the newest checkpoint that was begun."""
        self.attempt: Attempt | None = None
        """The checkpoint that is being made; None between two."""

    @property
    def wanted(self) -> str | None:
        """The name of the checkpoint that is being made."""
        return None if self.attempt is None else self.attempt.name

    def begin_if_due(self, now: float, progress: RunProgress) -> Attempt | None:
        """Begins a checkpoint if it is time; returns it if it did."""
        if self.attempt is not None or not self._is_due(now, progress.learner_steps):
            return None
        self._before, self._last = self._last, (now, progress.learner_steps)
        # A number is used once, so that a part which comes late fits nothing.
        number = self._take_number()
        self.attempt = Attempt(number, number, now, progress, set(self._parts))
        return self.attempt

    def is_late(self, now: float) -> bool:
        """Whether the checkpoint that is being made has taken too long."""
        if self.attempt is None:
            return False
        return now - self.attempt.began > self._config.save_seconds

    def give_up(self, again: bool = False) -> Attempt | None:
        """Ends the attempt and returns it; None when there is none.

        Args:
          again: the next one is due at once, and not only when its period is over.
        """
        attempt, self.attempt = self.attempt, None
        if again:
            self._last = self._before
        return attempt

    def take(self, part: str, name: str, learner_steps: int | None) -> Attempt | None:
        """Notes that a part is saved; returns the checkpoint if that was the last one.

        Args:
          part: whose it is.
          name: of the checkpoint; one that was given up is passed over. `last` is
            for `end`.
          learner_steps: of the learner's part.
        """
        if name == LAST:
            if self._final is None:
                parts = set(self._parts)
                self._final = Attempt(LAST, "", 0.0, RunProgress(), parts)
            self._final.take(part, learner_steps)
        elif name == self.wanted and self.attempt is not None:
            self.attempt.take(part, learner_steps)
            if not self.attempt.missing:
                return self.give_up()
        return None

    def end(self, progress: RunProgress) -> Attempt | None:
        """Returns the checkpoint at the end of the run, as far as it was saved.

        Args:
          progress: how far the run is, but for the learner_steps, which are those
            of the learner's part.
        """
        final, self._final = self._final, None
        if final is not None:
            learner_steps = final.progress.learner_steps
            final.number = self._take_number()
            final.progress = dataclasses.replace(progress, learner_steps=learner_steps)
        return final

    def _take_number(self) -> str:
        self.number += 1
        return f"{self.number:06d}"

    def _is_due(self, now: float, learner_steps: int) -> bool:
        then, steps_then = self._last
        if learner_steps < steps_then:
            # The learner was restarted, and is behind what it was.
            self._last = (then, learner_steps)
        seconds, steps = self._config.period_seconds, self._config.period_learner_steps
        if learner_steps == 0:
            return False
        if seconds is not None and now - then >= seconds:
            return True
        return steps is not None and learner_steps - self._last[1] >= steps
