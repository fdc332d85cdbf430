"""The loop: act, insert, learn, evaluate, in one process and in a fixed order."""

import contextlib
import dataclasses
import math
import threading
import time
from concurrent import futures
from typing import Any

import jax
import numpy as np

from distrl.actor.exploration import make_exploration_schedule
from distrl.actor.interaction import Interaction
from distrl.agents import make_agent
from distrl.checkpoints.best import BestKeeper
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import Config, StopConfig
from distrl.config.factories import check_not_imported
from distrl.coordinator import StopReason, find_stop_reason
from distrl.evaluation.episodes import Evaluation
from distrl.items import fill_priorities
from distrl.learner.checkpoint import describe_origin, describe_run
from distrl.learner.devices import copy_first_replica, first_replica
from distrl.learner.dispatch import Dispatch, count_due
from distrl.learner.publisher import Variables
from distrl.learner.update import UpdateOutput
from distrl.serial.record import Counts, RunRecord, SerialState, restore_state
from distrl.types import EnvironmentSpec, Items, StopSignal

_SIGN_SECONDS = 0.1


def run_serial(
    config: Config, spec: EnvironmentSpec, stop: StopSignal | None = None
) -> SerialState:
    """Trains in this thread until a stop condition holds or `stop` is set.

    Two runs on the same kind of machine end with the same bits, unless `stop.seconds`
    or `stop` ended them: the order is fixed and all random keys derive from the seed.

    The run continues from the newest checkpoint in `run_dir`, and makes one at the end
    and every `checkpoint.period_learner_steps`. Environments are not saved. So that a
    resumed run ends with the same bits as an uninterrupted one, both start new episodes
    in new environments after each periodic checkpoint.

    Args:
      config: if its `run_dir` is None, no file is written. docs/architecture.md says
        which fields have no effect here.
      stop: checked before every step of the environments; None never stops.
    """
    check_not_imported()
    stop = threading.Event() if stop is None else stop
    with contextlib.ExitStack() as closing:
        run = _Run(config, spec, stop, closing)
        run.finish()
    return run.state


class _Run:
    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        stop: StopSignal,
        closing: contextlib.ExitStack,
    ):
        devices = jax.local_devices()[: config.learner.devices]
        agent = make_agent(config, spec)
        self._config = config
        self._num_devices = len(devices)
        size = min(config.actor.environments, config.replay.capacity)
        # All devices get the same number of items.
        self._group = math.ceil(size / len(devices)) * len(devices)
        # The only stop condition that can become true during an evaluation.
        self._clock = StopConfig(seconds=config.stop.seconds)
        self._stop = stop
        self._dispatch = Dispatch(config, spec, agent, devices)
        self.state = SerialState(self._dispatch.init())
        self._best = None
        if config.run_dir is not None:
            train = first_replica(self.state.learning.train)
            origin = describe_origin(config, spec)
            write_run_spec(config.run_dir, {**describe_run(spec, train), **origin})
            self._best = BestKeeper(config.run_dir, config.evaluation.episodes)
            self.state = restore_state(config, self.state, devices)
        train = self.state.learning.train
        self._variables: Variables = copy_first_replica(
            (train.params, train.network_state)
        )
        self._checkpointed_step = self._counts.learner_steps
        self._output: UpdateOutput | None = None
        self._reason: StopReason | None = None
        # Items and priorities that wait for a whole group.
        self._pending: Any = None
        # The exploration of actor 0 of 1.
        actor = dataclasses.replace(config.actor, count=1)
        alone = dataclasses.replace(config, actor=actor)
        self._schedule = make_exploration_schedule(alone, 0)
        self._interaction = Interaction(config, spec, agent, 0, self._incarnation)
        closing.callback(self._interaction.close)
        self._evaluation = Evaluation(config, spec, agent, self._incarnation)
        closing.callback(self._evaluation.close)
        self._record = RunRecord(config, self._interaction, self._counts)
        closing.callback(self._record.close)
        # Before the first look at `stop`, so compiling is not mistaken for hanging.
        self._dispatch.compile(self.state.learning)
        self._interaction.compile()
        self._evaluation.compile()

    def finish(self) -> None:
        while self._continues(self._config.stop):
            self._act()
            self._learn_due()
        if self._output is not None:
            self._record.write_learning(self._counts, self._output)
        self._save()
        reason = None if self._reason is None else str(self._reason)
        self._record.write_status(self._counts, reason, last=True)

    @property
    def _counts(self) -> Counts:
        return self.state.counts

    @property
    def _incarnation(self) -> tuple[int, ...]:
        """The incarnation in the seeds of episodes that begin now."""
        env_steps = self._counts.env_steps
        return () if env_steps == 0 else (env_steps,)

    def _continues(self, conditions: StopConfig) -> bool:
        if self._reason is None:
            progress = self._record.to_progress(self._counts)
            self._reason = find_stop_reason(conditions, progress)
        self._record.write_status(self._counts, None, last=False)
        return self._reason is None and not self._stop.is_set()

    def _act(self) -> None:
        exploration = self._schedule(self._counts.env_steps)
        items, episodes = self._interaction.step(*self._variables, exploration)
        self.state = self.state._replace(
            env_steps=self.state.env_steps + self._config.actor.environments,
            episodes=self.state.episodes + len(episodes),
        )
        self._add(items)

    def _add(self, items: Items) -> None:
        """Inserts items in groups of one size, so that inserting compiles once."""
        count = len(jax.tree.leaves(items.data)[0])
        epsilon = self._config.replay.priority_epsilon
        priorities = fill_priorities(items.priorities, count, epsilon)
        new = (items.data, priorities.astype(np.float32))
        if self._pending is not None:
            new = jax.tree.map(lambda *x: np.concatenate(x), self._pending, new)
        self._pending = new
        while self._pending is not None and len(self._pending[1]) >= self._group:
            self._insert_pending(self._group)

    def _insert_pending(self, size: int) -> None:
        group = jax.tree.map(lambda x: x[:size], self._pending)
        is_more = len(self._pending[1]) > size
        rest = jax.tree.map(lambda x: x[size:], self._pending) if is_more else None
        self._pending = rest
        held = self.state.learning
        learning = self._dispatch.insert(held, *self._dispatch.put(*group))
        self.state = self.state._replace(learning=learning)

    def _learn_due(self) -> None:
        """Makes the dispatches that are due; stops after a checkpoint."""
        period = self._config.checkpoint.period_learner_steps
        counts = self._counts
        for _ in range(count_due(self._config, counts.inserted, counts.sampled)):
            if not self._continues(self._config.stop):
                return
            self._learn_once()
            done = self._counts.learner_steps - self._checkpointed_step
            if period is not None and done >= period:
                self._save()
                self._checkpointed_step = self._counts.learner_steps
                self._dispatch.forget()
                self._interaction.restart(self._incarnation)
                self._evaluation.restart(self._incarnation)
                # As a run resumed from this checkpoint does: it acts first.
                return

    def _save(self) -> None:
        """Inserts pending items and makes a checkpoint, unless nothing is new."""
        if self._pending is not None:
            # All devices get the same number; fewer items than devices are dropped.
            count = len(self._pending[1])
            self._insert_pending(count - count % self._num_devices)
            self._pending = None
        counts = self._counts
        is_old = counts.learner_steps == 0 or counts == self._record.saved
        if self._config.run_dir is None or is_old:
            return
        with futures.ThreadPoolExecutor(1) as executor:
            saving = executor.submit(self._record.save, self.state)
            while futures.wait([saving], _SIGN_SECONDS).not_done:
                # Every look at `stop` shows that this thread is alive.
                self._stop.is_set()
        saving.result()

    def _learn_once(self) -> None:
        learning, self._output, self._variables = self._dispatch.learn(
            self.state.learning
        )
        self.state = self.state._replace(learning=learning)
        learner = self._config.learner
        dispatches = self._counts.learner_steps // learner.steps_per_dispatch
        if dispatches % learner.metrics_period == 0:
            self._record.write_learning(self._counts, self._output)
        evaluated = self._record.progress.evaluation_step or 0
        if self._counts.learner_steps >= evaluated + self._config.evaluation.period:
            self._evaluate()

    def _evaluate(self) -> None:
        started = time.monotonic()
        episodes = self._evaluation.play(
            *self._variables, lambda _: self._continues(self._clock)
        )
        if episodes is None:
            return
        counts, seconds = self._counts, time.monotonic() - started
        mean_return = self._record.write_evaluation(counts, episodes, seconds)
        if self._best is not None:
            self._best.offer(self._variables, counts.learner_steps, mean_return)
