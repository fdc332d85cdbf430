"""The coordinator node: answers the other nodes' reports and watches the run."""

import dataclasses
import math
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from distrl.checkpoints.layout import RunProgress, make_folder
from distrl.config import Config, StopConfig
from distrl.coordinator.memory import MEMORY_FILE, recall_run
from distrl.seeding import read_session
from distrl.system.output import say, write_whole
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.status import Rates, Status, write_status
from distrl.types import StopSignal

_MEMORY_SECONDS = 1.0
_SLICE_SECONDS = 0.05


class StopReason(NamedTuple):
    """A stop condition that holds: a field of `StopConfig`, the value and its limit."""

    name: str
    value: float
    limit: float

    def __str__(self) -> str:
        """Returns for example `env_steps 10000 reached 10000`."""
        return f"{self.name} {self.value:g} reached {self.limit:g}"


def find_stop_reason(stop: StopConfig, progress: RunProgress) -> StopReason | None:
    """Returns the stop condition that holds; None if none does."""
    # From the last field: a solved task is a better reason than a used-up budget.
    for field in reversed(dataclasses.fields(stop)):
        limit, value = getattr(stop, field.name), getattr(progress, field.name)
        if limit is not None and value is not None and value >= limit:
            return StopReason(field.name, value, limit)
    return None


class Coordinator:
    """Sums the nodes' reports and ends the run when a stop condition holds."""

    def __init__(
        self, config: Config, stop: StopSignal, stop_program: Callable[[], None]
    ):
        """Starts the clock of the run, or continues it; `stop` ends only `run`."""
        self._config = config
        self._stop = stop
        self._stop_program = stop_program
        self._started = time.monotonic()
        self._patience = config.launch.stop_seconds / 2
        self._lock = threading.Lock()
        # Set by an evaluation, so that `run` looks at once.
        self._changed = threading.Event()
        self._memory = recall_run(config.run_dir, read_session(), say)
        self._gauges: dict[str, dict[str, float]] = defaultdict(dict)
        self._seen: dict[str, float] = {}
        self._left: set[str] = set()
        # These nodes end after the last checkpoint of the learner.
        self._savers = {"learner"}
        if config.checkpoint.save_replay and config.replay.sampled_on == "server":
            self._savers.update(config.replay.shard_names)
        before = self._memory.progress.seconds
        self._rates = Rates(self._memory.to_progress(before))

    def report(
        self,
        node: str,
        incarnation: str,
        counts: Mapping[str, float],
        gauges: Mapping[str, float],
        last: bool,
        evaluations: Sequence[tuple[int, float, int]] = (),
    ) -> dict[str, Any]:
        """Receives a node's report; one that is repeated changes nothing.

        Args:
          incarnation: distinguishes a restarted node from the one before.
          counts: totals of this incarnation, for example `env_steps`; `learner_steps`
            are those of the run.
          gauges: the newest values of whatever is not a count.
          last: the node is about to end.
          evaluations: arguments of `RunProgress.with_evaluation`.

        Returns:
          `progress`, the fields of `RunProgress`, and `others_remain` of `Reporter`.
        """
        now = time.monotonic()
        with self._lock:
            self._seen[node] = now
            self._memory.add(node, incarnation, counts)
            self._gauges[node].update(gauges)
            for evaluation in evaluations:
                progress = self._memory.progress.with_evaluation(*evaluation)
                self._memory.progress = progress
                self._changed.set()
            if last:
                self._left.add(node)
            else:
                self._left.discard(node)
            remains = self._is_reporting("learner", now)
            # Takes time proportional to the nodes, so only the learner gets it.
            if node == "learner":
                remains = bool(self._seen.keys() - self._left - self._savers)
            progress = self._memory.to_progress(self._seconds(now))
            return {"progress": vars(progress), "others_remain": remains}

    def run(self) -> None:
        """Checks the stop conditions and writes the status until `stop` is set."""
        log = MetricsLog(self._config, "coordinator")
        reason = None
        memory_due = self._started
        while not self._stop.is_set():
            self._changed.wait(self._config.launch.report_seconds)
            self._changed.clear()
            status = self._status()
            if reason is None:
                reason = find_stop_reason(self._config.stop, status)
                if reason is not None:
                    self._stop_program()
            if time.monotonic() >= memory_due:
                memory_due = time.monotonic() + _MEMORY_SECONDS
                self._remember()
            self._write(log, status)
        self._await_farewells()
        self._remember()
        text = None if reason is None else str(reason)
        self._write(log, dataclasses.replace(self._status(), reason=text))
        log.close()

    def _await_farewells(self) -> None:
        """Waits for the last reports; longer for nodes that make a checkpoint."""
        began = now = time.monotonic()
        longest = max(self._patience, self._config.checkpoint.save_seconds)
        while now - began <= longest:
            self._stop.is_set()  # shows that this node is alive
            with self._lock:
                remaining = self._seen.keys() - self._left
                if now - began > self._patience:
                    remaining &= self._savers
                    remaining = {n for n in remaining if self._is_reporting(n, now)}
            if not remaining:
                return
            time.sleep(_SLICE_SECONDS)
            now = time.monotonic()

    def _is_reporting(self, node: str, now: float) -> bool:
        """Whether a node has reported recently, and not for the last time."""
        silence = now - self._seen.get(node, -math.inf)
        return node not in self._left and silence < self._patience

    def _remember(self) -> None:
        """Writes coordinator.json; a failure is only logged."""
        assert self._config.run_dir is not None
        with self._lock:
            text = self._memory.to_json(self._seconds(time.monotonic()))
        try:
            path = make_folder(self._config.run_dir) / MEMORY_FILE
            write_whole(path, text, durable=False)
        except OSError as error:
            say(f"the counts of the run cannot be written: {error}")

    def _write(self, log: MetricsLog, status: Status) -> None:
        assert self._config.run_dir is not None
        write_status(self._config.run_dir, status)
        log.write(status.env_steps, dataclasses.asdict(status))

    def _seconds(self, now: float) -> float:
        return self._memory.progress.seconds + now - self._started

    def _status(self) -> Status:
        now = time.monotonic()
        with self._lock:
            progress = self._memory.to_progress(self._seconds(now))
            inserted, sampled = self._gauge("inserted"), self._gauge("sampled")
            held = self._gauge("held_learner_steps", min)
            behind = self._gauge("staleness_seconds", max)
            size, checkpoint = self._gauge("replay_size"), self._gauge("checkpoint")
            silent = self._config.launch.silent_seconds
            return Status(
                **vars(progress),
                **self._rates.update(progress),
                samples_per_insert=sampled / inserted if inserted and sampled else None,
                replay_size=None if size is None else int(size),
                staleness=(
                    None if held is None else max(0.0, progress.learner_steps - held)
                ),
                staleness_seconds=None if behind is None else round(behind, 3),
                training_return=self._gauge("training_return", statistics.fmean),
                checkpoint=None if checkpoint is None else int(checkpoint),
                failed_saves=int(self._memory.totals.get("failed_saves", 0)),
                nodes_alive=sum(now - seen < silent for seen in self._seen.values()),
            )

    def _gauge(
        self, name: str, combine: Callable[[list[float]], float] = sum
    ) -> float | None:
        values = [g[name] for g in self._gauges.values() if name in g]
        return combine(values) if values else None
