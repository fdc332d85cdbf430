"""The progress of a run: counts and evaluations, which continue after a resume."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

# A float can represent every integer up to this, and nodes report counts as floats.
_LARGEST = 2**53


@dataclass(frozen=True)
class RunProgress:
    """The counts and evaluations of a run at one moment.

    Attributes:
      seconds: duration of the run, over all sessions.
      env_steps: calls of `environment.step` by all actors.
      evaluation_return: mean return of the latest evaluation; None before the first.
      evaluation_step: the learner_steps of the parameters evaluated.
      evaluation_truncated: how many of its episodes were cut off.
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
        """Returns the progress with a new evaluation; `truncated` counts episodes."""
        return dataclasses.replace(
            self.with_best(mean_return),
            evaluation_return=mean_return,
            evaluation_step=learner_steps,
            evaluation_truncated=truncated,
        )

    def with_best(self, mean_return: float) -> "RunProgress":
        """Returns the progress with `best_return` raised to `mean_return` if higher."""
        best = self.best_return
        best = mean_return if best is None else max(best, mean_return)
        return dataclasses.replace(self, best_return=best)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON data."""
        return dict(vars(self))

    def to_status(self) -> dict[str, Any]:
        """Returns the fields that `Status` has too."""
        return {name: value for name, value in vars(self).items() if name != "sessions"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RunProgress":
        """Returns the progress from the data of `to_dict`; ignores unknown names."""
        return cls(**read_fields(cls, data))


def read_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values in JSON data for the fields of a dataclass of numbers.

    Raises ValueError for a value of the wrong type, or too large for a count.
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
