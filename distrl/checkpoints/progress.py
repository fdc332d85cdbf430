"""How far a run is: its counts and evaluations, which continue when it is resumed."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

# A float can represent every integer up to this, and nodes report counts as floats.
_LARGEST = 2**53


@dataclass(frozen=True)
class RunProgress:
    """The counts of a run and its evaluations at one moment.

    Attributes:
      seconds: that the run has taken, in all sessions.
      env_steps: calls of environment.step by all actors.
      learner_steps: SGD steps.
      episodes: that the actors finished.
      evaluation_return: of the latest evaluation; None before the first.
      evaluation_step: the learner_steps of the parameters evaluated.
      evaluation_truncated: how many of its episodes were cut off.
      best_return: of the best evaluation.
      sessions: how often the run was started: 1, plus one for each resume.
    """

    seconds: float = 0.0
    env_steps: int = 0
    learner_steps: int = 0
    episodes: int = 0
    evaluation_return: float | None = None
    evaluation_step: int | None = None
    evaluation_truncated: int | None = None
    best_return: float | None = None
    sessions: int = 1

    def with_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> "RunProgress":
        """Returns the progress after one more evaluation.

        Args:
          learner_steps: of the parameters evaluated.
          mean_return: over the episodes.
          truncated: how many episodes were cut off.
        """
        return dataclasses.replace(
            self.with_best(mean_return),
            evaluation_return=mean_return,
            evaluation_step=learner_steps,
            evaluation_truncated=truncated,
        )

    def with_best(self, mean_return: float) -> "RunProgress":
        """Returns the progress with a return that may be the best."""
        best = self.best_return
        best = mean_return if best is None else max(best, mean_return)
        return dataclasses.replace(self, best_return=best)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return dict(vars(self))

    def to_status(self) -> dict[str, Any]:
        """Returns the fields that a `Status` shares with it."""
        return {name: value for name, value in vars(self).items() if name != "sessions"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RunProgress":
        """Returns the progress that `to_dict` described; ignores unknown names.

        Raises:
          ValueError: a value is not of its field's type.
        """
        return cls(**read_fields(cls, data))


def read_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what JSON data holds for the fields of a dataclass of numbers.

    Raises:
      ValueError: a value is not of its field's type, or too large for a count.
    """
    found = {}
    for field in dataclasses.fields(kind):
        if field.name not in data:
            continue
        value = data[field.name]
        types = get_args(field.type) or (field.type,)
        is_count = int in types and type(value) is int and 0 <= value <= _LARGEST
        is_number = float in types and type(value) in (int, float)
        is_unset = value is None and type(None) in types
        if not (is_count or is_unset or (is_number and math.isfinite(value))):
            raise ValueError(f"{field.name} is {value!r:.40}")
        found[field.name] = value
    return found
