"""How far a run is: the counts that go on when it is resumed."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

# A float holds all integers up to it, and nodes report some counts as floats.
_LARGEST = 2**53


@dataclass(frozen=True)
class RunProgress:
    """The counts of a run, and its evaluations, at one moment.

    Attributes:
      seconds: since the run started, all its sessions together.
      env_steps: calls of environment.step by all actors.
      learner_steps: SGD steps.
      episodes: those that the actors ended.
      evaluation_return: of the latest evaluation; None before the first.
      evaluation_step: the learner_steps of the parameters evaluated.
      evaluation_truncated: the episodes of it that were cut off.
      best_return: of the best evaluation.
      sessions: how often the run was started: 1, and one more for each resume.
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

    @property
    def evaluation(self) -> tuple[int, float, int] | None:
        """Step, return and truncated episodes of the latest evaluation."""
        if self.evaluation_step is None or self.evaluation_return is None:
            return None
        truncated = self.evaluation_truncated or 0
        return self.evaluation_step, self.evaluation_return, truncated

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RunProgress":
        """Returns the progress in what `to_dict` gave; unknown names are left out.

        Raises:
          ValueError: a value is not of its field's type.
        """
        return cls(**read_fields(cls, data))


def read_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what JSON data has for the fields of a dataclass of numbers.

    Raises:
      ValueError: a value is not of its field's type, or no number can be as large.
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
