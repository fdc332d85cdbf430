"""The learner node: samples, updates, publishes, and sends priorities back."""

import collections
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from distrl.agents import make_agent
from distrl.checkpoints import write_run_spec
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.items import make_item_spec, make_zeros
from distrl.learner.checkpoint import Checkpointer, describe_run, restore_state
from distrl.learner.devices import (
    copy_first_replica,
    first_replica,
    join_superbatch,
    put_superbatch,
    replicate,
)
from distrl.learner.feed import DeviceSuperbatch, Feed
from distrl.learner.health import check_metrics
from distrl.learner.optimizer import make_optimizer
from distrl.learner.publisher import Publisher
from distrl.learner.state import init_state
from distrl.learner.update import UpdateOutput, make_update, read_metrics
from distrl.replay import PriorityUpdater, make_samplers
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
        closing.callback(learner.close)
        reporter.count(learner_steps=learner.learner_steps)
        samplers = make_samplers(replay_addresses, config, spec)
        feed = Feed(samplers, config, learner.devices)
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
        learner.write_last_metrics()
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
        self.devices = jax.local_devices()[: config.learner.devices]
        """The devices that share a superbatch."""
        agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
        self._update = make_update(agent, optimizer, config, self.devices)
        key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
        initial = init_state(agent, optimizer, key)
        write_run_spec(config.run_dir, describe_run(spec, initial))
        state, self.resumed = restore_state(config.run_dir, initial, config.learner)
        """How far the run was in the checkpoint that was restored."""
        self.learner_steps = self.resumed.learner_steps
        """The SGD steps so far, including those before a checkpoint."""
        self.state = replicate(state, self.devices)
        """The learner's state; its buffers are given to the next update."""
        self._publisher = publisher
        self._publish()
        self._metrics = _Metrics(config, self.learner_steps)
        self._under_way: collections.deque[UpdateOutput] = collections.deque()

    def compile(self, spec: EnvironmentSpec) -> None:
        """Compiles the update on a copy of the state, since the state is donated."""
        spare = replicate(first_replica(self.state), self.devices)
        zeros = _zeros(self._config, spec, self.devices)
        jax.block_until_ready(self._update(spare, *zeros))

    def learn(self, superbatch: DeviceSuperbatch) -> UpdateOutput:
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
            self._write_metrics(output)
        return output

    def write_last_metrics(self) -> None:
        """Writes the metrics of the newest update, unless they are written."""
        if self._under_way:
            self._write_metrics(self._under_way[-1])

    def check_metrics(self) -> None:
        """Raises DivergedError if a metric of the newest update is not finite."""
        if self._under_way:
            check_metrics(read_metrics(self._under_way[-1]), self.learner_steps)

    def close(self) -> None:
        """Closes the metrics."""
        self._metrics.close()

    def _write_metrics(self, output: UpdateOutput) -> None:
        self._metrics.write(self.learner_steps, output, self._publisher.seconds)

    def _publish(self) -> None:
        # Copied on the device, so this does not wait for the updates in flight.
        variables = copy_first_replica((self.state.params, self.state.network_state))
        self._published = self.learner_steps
        self._publisher.put(self.learner_steps, variables)


class _Metrics:
    def __init__(self, config: Config, learner_steps: int):
        self._log = MetricsLog(config, "learner")
        self._written = (time.monotonic(), learner_steps)

    def write(
        self, learner_steps: int, output: UpdateOutput, publish_seconds: float | None
    ) -> None:
        """Writes a row, unless this step has one; waits for the device.

        A DivergedError is raised only after the row is written.
        """
        values = read_metrics(output)
        now, (then, before) = time.monotonic(), self._written
        if learner_steps == before:
            return
        rate = (learner_steps - before) / (now - then)
        self._log.write(
            learner_steps,
            {
                "learner_steps": learner_steps,
                "steps_per_second": rate,
                "publish_seconds": publish_seconds,
                **values,
            },
        )
        self._written = (now, learner_steps)
        check_metrics(values, learner_steps)

    def close(self) -> None:
        self._log.close()


def _zeros(config: Config, spec: EnvironmentSpec, devices: Any) -> Any:
    size = config.learner.batch_size * config.learner.steps_per_dispatch
    items = make_zeros(make_item_spec(config, spec), size)
    nest = (items, np.ones(size, np.float32))
    return put_superbatch(nest, devices, config.learner.steps_per_dispatch)
