"""The learner node: samples, updates, publishes, and sends priorities back."""

import collections
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.items import make_item_spec, make_zeros
from distrl.learner.checkpoint import (
    Checkpointer,
    describe_origin,
    describe_run,
    restore_state,
)
from distrl.learner.devices import (
    copy_first_replica,
    first_replica,
    join_superbatch,
    put_superbatch,
    replicate,
)
from distrl.learner.optimizer import make_optimizer
from distrl.learner.publisher import Publisher
from distrl.learner.state import check_finite, init_state
from distrl.learner.update import UpdateOutput, make_update, read_metrics
from distrl.replay import PriorityUpdater, SampledSuperbatch, ShardedSampler
from distrl.seeding import derive_seed
from distrl.system.remote import ignore_errors_while_stopping
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal

_POLL_SECONDS = 0.2
# Updates in flight before the loop waits for the oldest.
_UNDER_WAY = 2


def run_learner(
    config: Config,
    spec: EnvironmentSpec,
    replay_addresses: Sequence[str],
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Learns until `stop` is set, starting from the newest checkpoint, if any.

    `variable_service` and `coordinator` are clients of these nodes;
    `replay_addresses` has host:port of the Reverb server of each shard.
    """
    with contextlib.ExitStack() as closing:
        reporter = Reporter(coordinator, "learner", config, stop)
        publisher = Publisher(variable_service, config, stop)
        closing.callback(publisher.close, _POLL_SECONDS)
        learner = Learner(config, spec, publisher)
        closing.callback(learner.metrics.close)
        reporter.count(learner_steps=learner.learner_steps)
        feed = ShardedSampler(replay_addresses, config, spec, learner.put_on_devices)
        closing.callback(feed.close, _POLL_SECONDS)
        # Meanwhile the actors fill replay.
        learner.compile(spec)
        priorities = None
        if config.replay.kind == "prioritized":
            priorities = PriorityUpdater(replay_addresses, config, join_superbatch)
            closing.callback(priorities.close)
        checkpointer = Checkpointer(
            config, replay_addresses, reporter, stop, learner.resumed
        )
        try:
            while not stop.is_set():
                publisher.check()
                if reporter.is_due():
                    reporter.send()
                checkpointer.poll(learner.state, learner.learner_steps)
                superbatch = None
                with ignore_errors_while_stopping(stop):
                    superbatch = feed.get(_POLL_SECONDS)
                if superbatch is None:
                    continue
                output = learner.learn(superbatch)
                reporter.count(learner_steps=config.learner.steps_per_dispatch)
                if priorities is not None:
                    with ignore_errors_while_stopping(stop):
                        priorities.check()
                    priorities.put(
                        superbatch.keys, superbatch.shards, output.priorities
                    )
        except RuntimeError:
            # A diverged metric explains more than the error of the thread that failed.
            learner.check_metrics()
            raise
        learner.write_metrics()
        reporter.send()
        if learner.learner_steps > learner.resumed.learner_steps:
            checkpointer.finish(learner.state, learner.learner_steps)
        reporter.send(last=True)
        publisher.close(_POLL_SECONDS)
        publisher.check()


class Learner:
    """The learner's state and its updates; also publishes and writes metrics."""

    def __init__(self, config: Config, spec: EnvironmentSpec, publisher: Publisher):
        """Restores the newest checkpoint, if any, and publishes its parameters."""
        assert config.run_dir is not None
        self._config = config
        self._devices = jax.local_devices()[: config.learner.devices]
        agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
        self._update = make_update(agent, optimizer, config, self._devices)
        key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
        initial = init_state(agent, optimizer, key)
        origin = describe_origin(config, spec)
        write_run_spec(config.run_dir, {**describe_run(spec, initial), **origin})
        state, self.resumed = restore_state(config.run_dir, initial)
        """How far the run was in the checkpoint that was restored."""
        self.learner_steps = self.resumed.learner_steps
        """The SGD steps so far, including those before a checkpoint."""
        self.state = replicate(state, self._devices)
        """The learner's state; its buffers are given to the next update."""
        self._publisher = publisher
        self._publish()
        self.metrics = MetricsLog(config, "learner")
        self._written = (time.monotonic(), self.learner_steps)
        self._under_way: collections.deque[UpdateOutput] = collections.deque()

    def put_on_devices(self, superbatch: SampledSuperbatch) -> SampledSuperbatch:
        """Puts items and probabilities on the devices, as `[D, K, B/D, ...]`."""
        steps = self._config.learner.steps_per_dispatch
        nest = (superbatch.items, superbatch.probabilities)
        items, probabilities = put_superbatch(nest, self._devices, steps)
        return superbatch._replace(items=items, probabilities=probabilities)

    def compile(self, spec: EnvironmentSpec) -> None:
        """Compiles the update on a copy of the state, since the state is donated."""
        learner = self._config.learner
        size = learner.batch_size * learner.steps_per_dispatch
        items = make_zeros(make_item_spec(self._config, spec), size)
        nest = (items, np.ones(size, np.float32))
        zeros = put_superbatch(nest, self._devices, learner.steps_per_dispatch)
        spare = replicate(first_replica(self.state), self._devices)
        jax.block_until_ready(self._update(spare, *zeros))

    def learn(self, superbatch: SampledSuperbatch) -> UpdateOutput:
        """Dispatches an update, then waits until few enough are in flight."""
        learner = self._config.learner
        self.state, output = self._update(
            self.state, superbatch.items, superbatch.probabilities
        )
        self._under_way.append(output)
        if len(self._under_way) > _UNDER_WAY:
            jax.block_until_ready(self._under_way.popleft())
        self.learner_steps += learner.steps_per_dispatch
        if self.learner_steps - self._published >= learner.publish_period:
            self._publish()
        dispatches = self.learner_steps // learner.steps_per_dispatch
        if dispatches % learner.metrics_period == 0:
            self.write_metrics()
        return output

    def write_metrics(self) -> None:
        """Writes the metrics of the newest update, unless they are written.

        Waits for the device. A DivergedError is raised only after the row is written.
        """
        then, before = self._written
        if not self._under_way or self.learner_steps == before:
            return
        metrics = read_metrics(self._under_way[-1])
        self._written = now, steps = time.monotonic(), self.learner_steps
        row = {
            "learner_steps": steps,
            "steps_per_second": (steps - before) / (now - then),
            "publish_seconds": self._publisher.seconds,
        }
        self.metrics.write(steps, {**row, **metrics})
        check_finite(metrics, steps)

    def check_metrics(self) -> None:
        """Raises DivergedError if a metric of the newest update is not finite."""
        if self._under_way:
            check_finite(read_metrics(self._under_way[-1]), self.learner_steps)

    def _publish(self) -> None:
        # Copied on the device, so this does not wait for the updates in flight.
        variables = copy_first_replica((self.state.params, self.state.network_state))
        self._published = self.learner_steps
        self._publisher.put(self.learner_steps, variables)
