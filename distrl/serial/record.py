"""The files that the serial loop writes, the same as those of a distributed run."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distrl.actor.interaction import Interaction
from distrl.checkpoints.layout import RunProgress, recall_progress
from distrl.config import Config
from distrl.environments import Episode
from distrl.evaluation.episodes import summarize_episodes
from distrl.learner.state import check_finite
from distrl.learner.update import UpdateOutput, read_metrics
from distrl.serial.learning import Counts
from distrl.system.output import say
from distrl.system.session import read_session
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.status import Rates, Status, write_status

_NODES = ("actor/0", "coordinator", "evaluator", "learner")


class RunRecord:
    """Keeps returns, evaluations and rates, and writes them if there is a `run_dir`.

    Rows of `actor/0`, `learner` and `evaluator` are written at fixed counts, so two
    equal runs differ only in the clocks. Rows of `coordinator` follow the clock.

    Attributes:
      progress: of the run at its start, with the evaluations since then.
      checkpoint: the learner step of the newest checkpoint; None without one.
      failed_saves: the checkpoints that could not be made.
    """

    def __init__(self, config: Config, interaction: Interaction):
        """Starts the clock of the run, or continues it from the newest checkpoint."""
        self._config = config
        self._interaction = interaction
        self._logs: dict[str, MetricsLog] = {}
        self.progress = RunProgress()
        if config.run_dir is not None:
            Path(config.run_dir).mkdir(parents=True, exist_ok=True)
            sessions = read_session().number + 1
            self.progress = recall_progress(config.run_dir, sessions, say)
            self._logs = {
                node: MetricsLog(config, node, every_row=node != "coordinator")
                for node in _NODES
            }
        steps = self.progress.learner_steps
        self.checkpoint = steps or None
        self.failed_saves = 0
        now = time.monotonic()
        self._started = now - self.progress.seconds
        self._status_due = now
        self._rates = Rates(now, self.progress.env_steps, steps)
        self._learner_row = (now, steps)

    def to_progress(self, counts: Counts) -> RunProgress:
        """Returns the progress of the run at this moment."""
        return dataclasses.replace(
            self.progress,
            seconds=round(time.monotonic() - self._started, 3),
            env_steps=counts.env_steps,
            learner_steps=counts.learner_steps,
            episodes=counts.episodes,
        )

    def write_status(self, counts: Counts, reason: str | None, last: bool) -> None:
        """Writes the status if it is due or the last."""
        now = time.monotonic()
        if now < self._status_due and not last:
            return
        self._status_due = now + self._config.launch.report_seconds
        env_rate, learner_rate = self._rates.update(
            now, counts.env_steps, counts.learner_steps
        )
        status = Status(
            **vars(self.to_progress(counts)),
            env_steps_per_second=round(env_rate, 1),
            learner_steps_per_second=round(learner_rate, 1),
            samples_per_insert=(
                counts.sampled / counts.inserted if counts.sampled else None
            ),
            replay_size=min(counts.inserted, self._config.replay.capacity),
            staleness=0.0,
            staleness_seconds=0.0,
            training_return=self._interaction.describe()["training_return"],
            checkpoint=self.checkpoint,
            failed_saves=self.failed_saves,
            nodes_alive=1,
            reason=reason,
        )
        if self._config.run_dir is not None:
            write_status(self._config.run_dir, status)
        self._write("coordinator", status.env_steps, dataclasses.asdict(status))

    def write_learning(self, counts: Counts, output: UpdateOutput) -> None:
        """Writes rows of learner and actor, unless this step has them already.

        A DivergedError is raised only after the learner's row is written.
        """
        now, (then, before) = time.monotonic(), self._learner_row
        if not self._logs or counts.learner_steps == before:
            return
        self._learner_row = (now, counts.learner_steps)
        rate = (counts.learner_steps - before) / (now - then)
        row = {"learner_steps": counts.learner_steps, "steps_per_second": rate}
        metrics = read_metrics(output)
        self._write("learner", counts.learner_steps, {**row, **metrics})
        check_finite(metrics, counts.learner_steps)
        actor_row = {
            "env_steps": counts.env_steps,
            **self._interaction.describe(),
            "version": counts.dispatches,
            "learner_steps": counts.learner_steps,
        }
        self._write("actor/0", counts.env_steps, actor_row)

    def write_evaluation(
        self, counts: Counts, episodes: Sequence[Episode], seconds: float
    ) -> float:
        """Writes the evaluator's row; returns the mean return."""
        summary = summarize_episodes(episodes)
        mean, truncated = summary["mean_return"], summary["truncated_episodes"]
        self.progress = self.progress.with_evaluation(
            counts.learner_steps, mean, truncated
        )
        row = {
            "learner_steps": counts.learner_steps,
            "version": counts.dispatches,
            "env_steps": counts.env_steps,
            **summary,
            "seconds": round(seconds, 3),
        }
        self._write("evaluator", counts.learner_steps, row)
        return mean

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()

    def _write(self, node: str, step: int, row: Mapping[str, Any]) -> None:
        if node in self._logs:
            self._logs[node].write(step, row)
