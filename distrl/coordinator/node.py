"""What the other nodes call, and the loop that watches the run."""

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from distrl.config import Config
from distrl.coordinator.checkpointing import CheckpointDirector
from distrl.coordinator.memory import recall_run
from distrl.coordinator.stopping import find_stop_reason
from distrl.node_log import say
from distrl.session import Session
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.status import Rates, Status, write_status
from distrl.types import StopSignal

_MEMORY_SECONDS = 1.0
_SLICE_SECONDS = 0.05


class Coordinator:
    """Sums what the nodes report and ends the run when a condition holds."""

    def __init__(
        self,
        config: Config,
        stop: StopSignal,
        stop_program: Callable[[], None],
        session: Session | None = None,
    ):
        """Starts the clock of the run, or goes on from where it was.

        Args:
          config: the whole configuration.
          stop: ends `run`.
          stop_program: ends the run.
          session: the start of the program that this is in.
        """
        self._config = config
        self._stop = stop
        self._stop_program = stop_program
        self._started = time.monotonic()
        self._lock = threading.Lock()
        # What cannot wait for the next look: an evaluation, a part of a checkpoint.
        self._changed = threading.Event()
        self._memory = recall_run(config.run_dir, session or Session(), say)
        self._checkpoints = CheckpointDirector(
            config, self._memory, self._started, self._lock, self._changed
        )
        self._gauges: dict[str, dict[str, float]] = defaultdict(dict)
        self._seen: dict[str, float] = {}
        self._left: set[str] = set()
        counts = self._memory.counts
        self._rates = Rates(
            self._started, counts.total("env_steps"), counts.total("learner_steps")
        )

    def report(
        self,
        node: str,
        life: str,
        counts: Mapping[str, float],
        gauges: Mapping[str, float],
        last: bool,
    ) -> dict[str, Any]:
        """Takes a node's report; returns the counts of the run, and what to save.

        Args:
          node: the node's name.
          life: names this life of the node; a restarted node has another one.
          counts: totals of this life, for example `env_steps`; `learner_steps`
            are those of all lives.
          gauges: the newest value of whatever is not a count.
          last: the node is about to end.

        Returns:
          `env_steps` and `learner_steps` of the whole run; `checkpoint`, the name of
          the checkpoint that is being made, or None.
        """
        with self._lock:
            self._seen[node] = time.monotonic()
            if self._memory.counts.update(node, life, counts):
                self._checkpoints.forget(node)
            self._gauges[node].update(gauges)
            if last:
                self._left.add(node)
            else:
                self._left.discard(node)
            total = self._memory.counts.total
            return {
                "env_steps": total("env_steps"),
                "learner_steps": total("learner_steps"),
                "checkpoint": self._checkpoints.wanted,
            }

    def report_evaluation(
        self, learner_steps: int, mean_return: float, truncated: int
    ) -> bool:
        """Takes the evaluation of one frozen version.

        Args:
          learner_steps: of the version.
          mean_return: of its episodes.
          truncated: the episodes that were cut off.

        Returns:
          True: it was heard.
        """
        with self._lock:
            memory = self._memory
            memory.evaluation = (learner_steps, mean_return, truncated)
            if memory.best_return is None or mean_return > memory.best_return:
                memory.best_return = mean_return
        self._changed.set()
        return True

    def report_saved(self, node: str, name: str, learner_steps: int | None) -> bool:
        """Takes note that a node's part of a checkpoint is whole.

        Args:
          node: the node's name, which is its part's.
          name: of the checkpoint; `last` is the one at the end of the run.
          learner_steps: of the learner's part; None of another.

        Returns:
          True: it was heard.
        """
        with self._lock:
            self._checkpoints.take(node, name, learner_steps)
        self._changed.set()
        return True

    def report_failed_save(self, node: str, name: str, error: str) -> bool:
        """Takes note that a node's part of a checkpoint cannot be saved.

        Returns:
          True: it was heard.
        """
        with self._lock:
            self._checkpoints.take_failure(node, name, error)
        self._changed.set()
        return True

    def run(self) -> None:
        """Watches the stop conditions and writes the status until the run ends."""
        log = MetricsLog(self._config, "coordinator")
        reason = None
        remembered = -float("inf")
        while not self._stop.is_set():
            self._changed.wait(self._config.launch.report_seconds)
            self._changed.clear()
            status = self._status()
            if reason is None:
                reason = find_stop_reason(self._config.stop, status)
                if reason is not None:
                    self._stop_program()
            now = time.monotonic()
            began = self._checkpoints.direct(now, self._seconds(now))
            if began or now - remembered >= _MEMORY_SECONDS:
                remembered = now
                self._checkpoints.remember(self._seconds(now))
            self._write(log, status)
        self._await_farewells()
        self._end_checkpoints()
        self._write(log, dataclasses.replace(self._status(), reason=reason))
        log.close()

    def _await_farewells(self) -> None:
        """Waits for the last counts of the nodes that are still there.

        Those that save a last time have longer, while they report.
        """
        begun = time.monotonic()
        patience = self._config.launch.stop_seconds / 2
        longest = max(patience, self._config.checkpoint.save_seconds)
        while not self._stop_is_over(begun, patience, longest):
            self._changed.wait(_SLICE_SECONDS)
            self._changed.clear()

    def _stop_is_over(self, begun: float, patience: float, longest: float) -> bool:
        # That this thread looks at the flag is what shows that it lives.
        self._stop.is_set()
        now = time.monotonic()
        with self._lock:
            there = set(self._seen) - self._left
            if now - begun > patience:
                there &= self._checkpoints.parts
                there = {node for node in there if now - self._seen[node] < patience}
        return not there or now - begun > longest

    def _end_checkpoints(self) -> None:
        """Makes the last checkpoint whole."""
        seconds = self._seconds(time.monotonic())
        while not self._checkpoints.end(seconds):
            self._stop.is_set()
            self._changed.wait(_SLICE_SECONDS)
            self._changed.clear()
        self._checkpoints.remember(seconds)

    def _write(self, log: MetricsLog, status: Status) -> None:
        assert self._config.run_dir is not None
        write_status(self._config.run_dir, status)
        log.write(status.env_steps, dataclasses.asdict(status))

    def _seconds(self, now: float) -> float:
        """Returns the seconds that the run has taken."""
        return self._memory.seconds + now - self._started

    def _status(self) -> Status:
        now = time.monotonic()
        with self._lock:
            progress = self._memory.to_progress(self._seconds(now))
            env_rate, learner_rate = self._rates.update(
                now, progress.env_steps, progress.learner_steps
            )
            inserted, sampled = self._gauge("inserted"), self._gauge("sampled")
            held = self._gauge("held_learner_steps", min)
            behind = self._gauge("staleness_seconds", max)
            silent = self._config.launch.silent_seconds
            size = self._gauge("replay_size")
            return Status(
                seconds=progress.seconds,
                env_steps=progress.env_steps,
                learner_steps=progress.learner_steps,
                episodes=progress.episodes,
                env_steps_per_second=round(env_rate, 1),
                learner_steps_per_second=round(learner_rate, 1),
                samples_per_insert=sampled / inserted if inserted and sampled else None,
                replay_size=None if size is None else int(size),
                staleness=(
                    None if held is None else max(0.0, progress.learner_steps - held)
                ),
                staleness_seconds=None if behind is None else round(behind, 3),
                training_return=self._gauge("training_return", _mean),
                evaluation_return=progress.evaluation_return,
                evaluation_step=progress.evaluation_step,
                evaluation_truncated=progress.evaluation_truncated,
                best_return=progress.best_return,
                checkpoint=self._memory.checkpoint,
                failed_saves=self._memory.failed_saves,
                nodes_alive=sum(now - seen < silent for seen in self._seen.values()),
            )

    def _gauge(
        self, name: str, combine: Callable[[list[float]], float] = sum
    ) -> float | None:
        values = [g[name] for g in self._gauges.values() if name in g]
        return combine(values) if values else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
