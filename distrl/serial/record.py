"""The files of the serial loop: those of every run, and checkpoints of all its state.

RUN_DIR/checkpoints/000007/learner/             as of every backend
                           replay/devices/      replay; may be left out
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from distrl.actor.interaction import Interaction
from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partials,
    find_newest_checkpoint,
    next_number,
    recall_progress,
)
from distrl.config import Config
from distrl.environments import Episode
from distrl.evaluation.episodes import summarize_episodes
from distrl.learner.checkpoint import read_state, save_train_state
from distrl.learner.devices import first_replica, replicate
from distrl.learner.dispatch import LearningState
from distrl.learner.replay_part import REPLAY, restore_replay, save_replay
from distrl.learner.state import check_finite
from distrl.learner.update import UpdateOutput, read_metrics
from distrl.seeding import read_session
from distrl.system.output import say
from distrl.telemetry.metrics import MetricsLog
from distrl.telemetry.status import Rates, Status, write_status

_NODES = ("actor/0", "coordinator", "evaluator", "learner")


class Counts(NamedTuple):
    """The counts of a run; those of items and samples are of its replay."""

    env_steps: int = 0
    episodes: int = 0
    inserted: int = 0
    sampled: int = 0
    learner_steps: int = 0


class SerialState(NamedTuple):
    """All of the state except the environments and the steps that are not items yet."""

    learning: LearningState
    env_steps: int = 0
    episodes: int = 0

    @property
    def counts(self) -> Counts:
        """The counts of the run."""
        held = self.learning
        return Counts(
            self.env_steps,
            self.episodes,
            held.inserted,
            held.sampled,
            held.learner_steps,
        )


class RunRecord:
    """Keeps evaluations, rates and the clock; writes files if there is a `run_dir`.

    Rows of `actor/0`, `learner` and `evaluator` are written at fixed counts, so two
    equal runs differ only in the clocks. Rows of `coordinator` follow the clock.

    Attributes:
      progress: of the run at its start, with the evaluations since then.
      saved: the counts in the newest checkpoint; 0 without one.
    """

    def __init__(self, config: Config, interaction: Interaction, saved: Counts):
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
        self.saved = saved
        self._failed_saves = 0
        now = time.monotonic()
        self._started = now - self.progress.seconds
        self._status_due = now
        self._rates = Rates(self.progress)
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
        progress = self.to_progress(counts)
        status = Status(
            **vars(progress),
            **self._rates.update(progress),
            samples_per_insert=(
                counts.sampled / counts.inserted if counts.sampled else None
            ),
            replay_size=min(counts.inserted, self._config.replay.capacity),
            staleness=0.0,
            staleness_seconds=0.0,
            training_return=self._interaction.describe()["training_return"],
            checkpoint=self.saved.learner_steps or None,
            failed_saves=self._failed_saves,
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
            "version": counts.learner_steps // self._config.learner.steps_per_dispatch,
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
            "version": counts.learner_steps // self._config.learner.steps_per_dispatch,
            "env_steps": counts.env_steps,
            **summary,
            "seconds": round(seconds, 3),
        }
        self._write("evaluator", counts.learner_steps, row)
        return mean

    def save(self, state: SerialState) -> None:
        """Makes a checkpoint.

        A failure, for example a full disk or parameters that are not finite, is logged
        and does not end the run; the partial checkpoint is removed.
        """
        run_dir, config = self._config.run_dir, self._config.checkpoint
        assert run_dir is not None
        name, steps = f"{next_number(run_dir):06d}", state.counts.learner_steps
        try:
            train = first_replica(state.learning.train)
            save_train_state(run_dir, name, train, steps)
            if config.save_replay:
                save_replay(begin_part(run_dir, name, REPLAY), state.learning)
            progress = self.to_progress(state.counts)
            complete_checkpoint(run_dir, name, progress, config.keep)
            self.saved = state.counts
        except Exception as error:
            self._failed_saves += 1
            discard_partials(run_dir)
            say(
                f"serial: checkpoint {name} of learner step {steps:,} was given up: "
                f"{type(error).__name__}: {error}"
            )

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()

    def _write(self, node: str, step: int, row: Mapping[str, Any]) -> None:
        if node in self._logs:
            self._logs[node].write(step, row)


def restore_state(
    config: Config, blank: SerialState, devices: Sequence[jax.Device]
) -> SerialState:
    """Returns the state in the newest checkpoint, or `blank` if there is none.

    Raises:
      ValueError: the checkpoint is of another network, optimizer or replay.
    """
    assert config.run_dir is not None
    checkpoint = find_newest_checkpoint(config.run_dir, say)
    if checkpoint is None:
        return blank
    say(f"serial: continuing from {checkpoint.describe()}")
    train = read_state(checkpoint, first_replica(blank.learning.train))
    learning = restore_replay(checkpoint, blank.learning, devices)
    learning = learning._replace(
        train=replicate(train, devices),
        learner_steps=checkpoint.progress.learner_steps,
    )
    progress = checkpoint.progress
    return SerialState(learning, progress.env_steps, progress.episodes)
