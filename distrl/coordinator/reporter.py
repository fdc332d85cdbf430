"""A node's side of the coordinator."""

import time
import uuid
from typing import Any

from distrl.checkpoints import RunProgress
from distrl.config import Config
from distrl.remote import RemoteCaller
from distrl.types import StopSignal

# The longest that a node's loop waits for the answer to a report.
_WAIT_SECONDS = 1.0


class Reporter:
    """Reports what a node counts every `launch.report_seconds`.

    Attributes:
      progress: of the whole run, as of the last answer.
      others_remain: whether nodes that count, and neither learn nor hold replay, have
        not ended yet. Known to the learner only, as long as the coordinator answers.
    """

    def __init__(self, coordinator: Any, node: str, config: Config, stop: StopSignal):
        """Takes a client of `Coordinator` and the node's name."""
        self.progress = RunProgress()
        self.others_remain = False
        self._learner_remains = False
        self._node = node
        self._incarnation = uuid.uuid4().hex
        self._period = config.launch.report_seconds
        self._patience = config.launch.stop_seconds / 2
        self._caller = RemoteCaller(
            coordinator, "coordinator", config.launch, stop, _WAIT_SECONDS
        )
        self._counts: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._unheard: list[tuple[int, float, int]] = []
        self._due = 0.0
        self._answered = 0.0

    @property
    def learner_remains(self) -> bool:
        """Whether the learner has not ended; False if the coordinator is silent."""
        silence = time.monotonic() - self._answered
        return self._learner_remains and silence < self._patience

    def count(self, **amounts: int) -> None:
        """Adds to the node's counts."""
        for name, amount in amounts.items():
            self._counts[name] = self._counts.get(name, 0) + amount

    def gauge(self, **values: float) -> None:
        """Sets values that are not counts."""
        self._gauges.update({name: float(value) for name, value in values.items()})

    def is_due(self) -> bool:
        """Whether it is time to report."""
        return time.monotonic() >= self._due

    def send(self, last: bool = False) -> None:
        """Reports now. The next report makes up for one that is lost."""
        self._due = time.monotonic() + self._period
        self._send_evaluations()
        answer = self._caller.call(
            "report",
            self._node,
            self._incarnation,
            self._counts,
            self._gauges,
            last,
        )
        self.others_remain = answer is not None and answer["others_remain"]
        if answer is not None:
            self._answered = time.monotonic()
            self.progress = RunProgress(**answer["progress"])
            self._learner_remains = answer["learner_remains"]

    def send_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> None:
        """Reports an evaluation; `send` repeats it until the coordinator answers.

        The arguments are those of `Coordinator.report_evaluation`.
        """
        self._unheard.append((int(learner_steps), float(mean_return), int(truncated)))
        self._send_evaluations()

    def _send_evaluations(self) -> None:
        while self._unheard:
            if not self._caller.call("report_evaluation", *self._unheard[0]):
                return
            del self._unheard[0]
