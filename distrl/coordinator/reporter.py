"""A node's side of the coordinator."""

import time
import uuid
from typing import Any

from distrl.config import Config
from distrl.remote import RemoteCaller
from distrl.types import StopSignal

# The longest that a node's loop stands still for a report.
_WAIT_SECONDS = 1.0


class Reporter:
    """Reports what a node counts every `launch.report_seconds`."""

    def __init__(self, coordinator: Any, node: str, config: Config, stop: StopSignal):
        """Takes a client of `Coordinator` and the node's name."""
        self._node = node
        self._life = uuid.uuid4().hex
        self._period = config.launch.report_seconds
        self._caller = RemoteCaller(
            coordinator, "coordinator", config.launch, stop, _WAIT_SECONDS
        )
        self._counts: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._unheard: list[tuple[int, float, int]] = []
        self._due = 0.0
        self.run_env_steps = 0
        """The env_steps of the whole run, as of the last report."""
        self.run_learner_steps = 0
        """The SGD steps of the run, as of the last report."""
        self.checkpoint: str | None = None
        """The checkpoint that is being made, as of the last report."""

    def count(self, **amounts: int) -> None:
        """Adds to the node's counts."""
        for name, amount in amounts.items():
            self._counts[name] = self._counts.get(name, 0) + amount

    def gauge(self, **values: float) -> None:
        """Sets what is not a count."""
        self._gauges.update({name: float(value) for name, value in values.items()})

    def is_due(self) -> bool:
        """Whether it is time to report."""
        return time.monotonic() >= self._due

    def send(self, last: bool = False) -> None:
        """Reports now; what is lost is made good by the next report."""
        self._due = time.monotonic() + self._period
        self._send_evaluations()
        answer = self._caller.call(
            "report",
            self._node,
            self._life,
            self._counts,
            self._gauges,
            last,
        )
        if answer is not None:
            self.run_env_steps = int(answer["env_steps"])
            self.run_learner_steps = int(answer["learner_steps"])
            self.checkpoint = answer["checkpoint"]

    def send_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> None:
        """Reports the evaluation of one frozen version of the parameters.

        If nobody hears it, `send` says it again. The arguments are those of
        `Coordinator.report_evaluation`.
        """
        self._unheard.append((int(learner_steps), float(mean_return), int(truncated)))
        self._send_evaluations()

    def send_saved(self, name: str, learner_steps: int | None) -> bool:
        """Says that the node's part of a checkpoint is whole; False if unheard."""
        return bool(self._caller.call("report_saved", self._node, name, learner_steps))

    def send_failed_save(self, name: str, error: str) -> bool:
        """Says that the node's part cannot be saved; False if unheard."""
        return bool(self._caller.call("report_failed_save", self._node, name, error))

    def _send_evaluations(self) -> None:
        while self._unheard:
            if not self._caller.call("report_evaluation", *self._unheard[0]):
                return
            del self._unheard[0]
