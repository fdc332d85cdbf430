"""How far a run is: the counts that go on when it is resumed."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
        """Returns the progress in what `to_dict` gave; unknown names are left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: data[name] for name in known & set(data)})
