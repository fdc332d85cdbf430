"""The coordinator: the one place for counts, liveness, stop conditions and status."""

import dataclasses
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from distrl.config import Config, StopConfig
from distrl.config.limits import find_patience
from distrl.remote import RemoteCaller
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.rates import Rates
from distrl.telemetry.status import Status
from distrl.types import StopSignal

# The longest that a node's loop stands still for a report.
_WAIT_SECONDS = 1.0


class Coordinator:
    """Sums what the nodes report and ends the run when a condition holds."""

    def __init__(
        self, config: Config, stop: StopSignal, stop_program: Callable[[], None]
    ):
        """Starts the clock of the run."""
        self._config = config
        self._stop = stop
        self._stop_program = stop_program
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        # A count is a total of one life of a node, so that a report that is sent
        # twice counts once, and a restarted node goes on from where it was.
        self._totals: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
        self._gauges: dict[str, dict[str, float]] = defaultdict(dict)
        self._seen: dict[str, float] = {}
        self._left: set[str] = set()
        self._evaluation: tuple[int, float] | None = None
        self._best: float | None = None
        self._rates = Rates(self._started)

    def report(
        self,
        node: str,
        life: str,
        counts: Mapping[str, float],
        gauges: Mapping[str, float],
        last: bool,
    ) -> dict[str, float]:
        """Takes a node's report and returns the counts of the whole run.

        Args:
          node: the node's name.
          life: names this life of the node; a restarted node has another one.
          counts: totals of this life, for example `env_steps`.
          gauges: the newest value of whatever is not a count.
          last: the node is about to end.
        """
        with self._lock:
            self._seen[node] = time.monotonic()
            for name, total in counts.items():
                self._totals[name][node, life] = total
            self._gauges[node].update(gauges)
            if last:
                self._left.add(node)
            answer = {
                name: self._total(name) for name in ("env_steps", "learner_steps")
            }
        self._changed.set()
        return answer

    def report_evaluation(self, learner_steps: int, mean_return: float) -> None:
        """Takes the mean return of one frozen version of the parameters."""
        with self._lock:
            self._evaluation = (int(learner_steps), float(mean_return))
            if self._best is None or mean_return > self._best:
                self._best = float(mean_return)
        self._changed.set()

    def run(self) -> None:
        """Watches the stop conditions and writes the status until the run ends."""
        log = MetricsLog(self._config, "coordinator")
        reason = None
        written = -float("inf")
        while not self._stop.is_set():
            self._changed.wait(self._config.launch.report_seconds)
            self._changed.clear()
            status = self._status()
            if reason is None:
                reason = find_stop_reason(self._config.stop, status)
                if reason is not None:
                    self._stop_program()
            now = time.monotonic()
            if now - written >= self._config.launch.report_seconds:
                written = now
                self._write(log, status)
        self._await_farewells()
        self._write(log, dataclasses.replace(self._status(), reason=reason))
        log.close()

    def _await_farewells(self) -> None:
        """Waits for the last counts of the nodes that are still there."""
        deadline = time.monotonic() + self._config.launch.stop_seconds / 2
        while time.monotonic() < deadline:
            with self._lock:
                if self._left >= set(self._seen):
                    return
            self._changed.wait(0.05)
            self._changed.clear()

    def _write(self, log: MetricsLog, status: Status) -> None:
        log.write(status.env_steps, dataclasses.asdict(status))

    def _total(self, name: str) -> float:
        return sum(self._totals[name].values())

    def _status(self) -> Status:
        now = time.monotonic()
        with self._lock:
            env_steps = int(self._total("env_steps"))
            learner_steps = int(self._total("learner_steps"))
            step, evaluation = self._evaluation or (None, None)
            inserted, sampled = self._gauge("inserted"), self._gauge("sampled")
            held = self._gauge("held_learner_steps", min)
            silent = self._config.launch.silent_seconds
            env_rate, learner_rate = self._rates.update(now, env_steps, learner_steps)
            size = self._gauge("replay_size")
            return Status(
                seconds=round(now - self._started, 3),
                env_steps=env_steps,
                learner_steps=learner_steps,
                episodes=int(self._total("episodes")),
                env_steps_per_second=round(env_rate, 1),
                learner_steps_per_second=round(learner_rate, 1),
                samples_per_insert=sampled / inserted if inserted and sampled else None,
                replay_size=None if size is None else int(size),
                staleness=None if held is None else max(0.0, learner_steps - held),
                training_return=self._gauge("training_return", _mean),
                evaluation_return=evaluation,
                evaluation_step=step,
                best_return=self._best,
                nodes_alive=sum(now - seen < silent for seen in self._seen.values()),
            )

    def _gauge(
        self, name: str, combine: Callable[[list[float]], float] = sum
    ) -> float | None:
        values = [g[name] for g in self._gauges.values() if name in g]
        return combine(values) if values else None


class Reporter:
    """A node's side of the coordinator: reports every `launch.report_seconds`."""

    def __init__(self, coordinator: Any, node: str, config: Config, stop: StopSignal):
        """Takes a client of `Coordinator` and the node's name."""
        self._node = node
        self._life = uuid.uuid4().hex
        self._period = config.launch.report_seconds
        self._caller = RemoteCaller(
            coordinator, "coordinator", find_patience(config), stop, _WAIT_SECONDS
        )
        self._counts: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._due = 0.0
        self.run_env_steps = 0
        """The env_steps of the whole run, as of the last report."""

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
        """Reports now; a report that is lost is made good by the next."""
        self._due = time.monotonic() + self._period
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

    def send_evaluation(self, learner_steps: int, mean_return: float) -> None:
        """Reports the mean return of one frozen version of the parameters."""
        self._caller.call("report_evaluation", int(learner_steps), float(mean_return))


def find_stop_reason(stop: StopConfig, status: Status) -> str | None:
    """Returns which stop condition holds, in words; None while none does."""
    measured: dict[str, float | None] = {
        "evaluation_return": status.evaluation_return,
        "env_steps": status.env_steps,
        "learner_steps": status.learner_steps,
        "seconds": status.seconds,
    }
    for name, value in measured.items():
        limit = getattr(stop, name)
        if limit is not None and value is not None and value >= limit:
            return f"{name} {value:g} reached {limit:g}"
    return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
