"""The client through which a node reports to the coordinator."""

import time
import uuid
from typing import Any

from distrl.checkpoints.layout import RunProgress
from distrl.config import Config
from distrl.system.remote import RemoteCaller
from distrl.types import StopSignal

# How long a node waits for the answer to a report.
_WAIT_SECONDS = 1.0


class Reporter:
    """Reports a node's counts, gauges and evaluations to the coordinator.

    Its `progress` is that of the whole run, as of the last answer.
    """

    def __init__(self, coordinator: Any, node: str, config: Config, stop: StopSignal):
        """Starts without counts; `coordinator` is a client of `Coordinator`."""
        self.progress = RunProgress()
        self._others_remain = False
        self._node = node
        self._incarnation = uuid.uuid4().hex
        self._period = config.launch.report_seconds
        self._patience = config.launch.stop_seconds / 2
        self._caller = RemoteCaller(
            coordinator, "coordinator", config.launch, stop, _WAIT_SECONDS
        )
        self._counts: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._evaluations: list[tuple[int, float, int]] = []
        self._due = 0.0
        self._answered = 0.0

    @property
    def others_remain(self) -> bool:
        """Whether a node is running that ends before this one.

        For a shard that is the learner; for the learner, all except such shards. False
        if the coordinator is silent.
        """
        silence = time.monotonic() - self._answered
        return self._others_remain and silence < self._patience

    def count(self, **amounts: int) -> None:
        """Adds to the node's counts."""
        for name, amount in amounts.items():
            self._counts[name] = self._counts.get(name, 0) + amount

    def gauge(self, **values: float) -> None:
        """Sets values that are not counts."""
        self._gauges.update({name: float(value) for name, value in values.items()})

    def is_due(self) -> bool:
        """Whether `launch.report_seconds` have passed since the last report."""
        return time.monotonic() >= self._due

    def send(self, last: bool = False) -> None:
        """Reports now. If a report is lost, the next one makes up for it."""
        self._due = time.monotonic() + self._period
        answer = self._caller.call(
            "report",
            self._node,
            self._incarnation,
            self._counts,
            self._gauges,
            last,
            self._evaluations,
        )
        if answer is not None:
            self._answered = time.monotonic()
            self._evaluations = []
            self.progress = RunProgress(**answer["progress"])
            self._others_remain = answer["others_remain"]

    def send_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> None:
        """Reports an evaluation now, and again until the coordinator answers."""
        self._evaluations.append((learner_steps, mean_return, truncated))
        self.send()
