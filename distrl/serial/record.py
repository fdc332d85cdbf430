"""What the loop writes: the same files as the nodes of a distributed run."""

import collections
import dataclasses
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from distrl.config import Config
from distrl.evaluator import summarize_returns
from distrl.learner.health import check_metrics
from distrl.learner.update import UpdateOutput, read_metrics
from distrl.serial.state import Counts
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.rates import Rates
from distrl.telemetry.status import Status

_RECENT_EPISODES = 100
_NODES = ("actor/0", "coordinator", "evaluator", "learner")


class RunRecord:
    """Keeps returns, evaluations and rates, and writes them if there is a run_dir.

    Rows of `actor/0`, `learner` and `evaluator` come at fixed counts, so that two runs
    have the same but for their clocks. Those of `coordinator` come by the clock, for
    who watches the run.
    """

    def __init__(self, config: Config):
        """Starts the clock of the run."""
        self._config = config
        self._logs: dict[str, MetricsLog] = {}
        if config.run_dir is not None:
            self._logs = {node: MetricsLog(config, node) for node in _NODES}
        self._returns: collections.deque[float] = collections.deque(
            maxlen=_RECENT_EPISODES
        )
        self._evaluation: tuple[int, float] | None = None
        self._best: float | None = None
        self._started = time.monotonic()
        self._status_due = self._started
        self._rates = Rates(self._started)
        self._learner_row = (self._started, 0)

    def add_returns(self, returns: list[float]) -> None:
        """Takes the returns of episodes that ended, exploration included."""
        self._returns.extend(returns)

    def find_status(self, counts: Counts) -> Status:
        """Returns the status of the run at this moment."""
        step, evaluation = self._evaluation or (None, None)
        return Status(
            seconds=round(time.monotonic() - self._started, 3),
            env_steps=counts.env_steps,
            learner_steps=counts.learner_steps,
            episodes=counts.episodes,
            samples_per_insert=counts.sampled / counts.inserted
            if counts.sampled
            else None,
            replay_size=min(counts.inserted, self._config.replay.capacity),
            staleness=0.0,
            training_return=self._training_return,
            evaluation_return=evaluation,
            evaluation_step=step,
            best_return=self._best,
            nodes_alive=1,
        )

    def write_status(self, counts: Counts, reason: str | None, last: bool) -> None:
        """Adds a row of the status, if it is time for one or it is the last."""
        now = time.monotonic()
        if now < self._status_due and not last:
            return
        self._status_due = now + self._config.launch.report_seconds
        env_rate, learner_rate = self._rates.update(
            now, counts.env_steps, counts.learner_steps
        )
        status = dataclasses.replace(
            self.find_status(counts),
            env_steps_per_second=round(env_rate, 1),
            learner_steps_per_second=round(learner_rate, 1),
            reason=reason,
        )
        self._write("coordinator", status.env_steps, dataclasses.asdict(status))

    def write_learning(
        self, counts: Counts, exploration: float, output: UpdateOutput
    ) -> None:
        """Adds rows of learner and actor, unless there are some of this step.

        Raises:
          DivergedError: a metric is no number; its row is written all the same.
        """
        now, (then, before) = time.monotonic(), self._learner_row
        if not self._logs or counts.learner_steps == before:
            return
        self._learner_row = (now, counts.learner_steps)
        rate = (counts.learner_steps - before) / (now - then)
        row = {"learner_steps": counts.learner_steps, "steps_per_second": rate}
        metrics = read_metrics(output)
        self._write("learner", counts.learner_steps, {**row, **metrics})
        check_metrics(metrics, counts.learner_steps)
        actor_row = {
            "env_steps": counts.env_steps,
            "training_return": self._training_return,
            "exploration": exploration,
            "version": counts.dispatches,
            "learner_steps": counts.learner_steps,
        }
        self._write("actor/0", counts.env_steps, actor_row)

    def write_evaluation(
        self, counts: Counts, returns: np.ndarray, seconds: float
    ) -> None:
        """Takes the returns of an evaluation and adds a row of the evaluator."""
        mean = float(np.mean(returns))
        self._evaluation = (counts.learner_steps, mean)
        self._best = mean if self._best is None else max(self._best, mean)
        row = {
            "learner_steps": counts.learner_steps,
            "version": counts.dispatches,
            "env_steps": counts.env_steps,
            **summarize_returns(returns),
            "seconds": round(seconds, 3),
        }
        self._write("evaluator", counts.learner_steps, row)

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()

    @property
    def _training_return(self) -> float | None:
        return statistics.fmean(self._returns) if self._returns else None

    def _write(self, node: str, step: int, row: Mapping[str, Any]) -> None:
        if node in self._logs:
            self._logs[node].write(step, row)
