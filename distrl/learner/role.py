"""The learner node: learns from replay, publishes, saves, and writes metrics."""

import collections
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import jax

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.learner.checkpoint import (
    Checkpointer,
    describe_origin,
    describe_run,
    restore_state,
)
from distrl.learner.device_replay import DeviceReplay
from distrl.learner.devices import copy_first_replica, replicate
from distrl.learner.optimizer import make_optimizer
from distrl.learner.publisher import Publisher, Variables
from distrl.learner.server_replay import ServerReplay
from distrl.learner.state import check_finite, init_state
from distrl.learner.update import Learned, UpdateOutput, read_metrics
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
        replay = learner.make_replay(spec, replay_addresses)
        closing.callback(replay.close, _POLL_SECONDS)
        # Meanwhile the actors fill replay.
        replay.compile(learner.state)
        checkpointer = Checkpointer(
            config, replay.begin_save, reporter, stop, learner.resumed
        )
        try:
            while not stop.is_set():
                publisher.check()
                if reporter.is_due():
                    reporter.gauge(**replay.read_gauges())
                    reporter.send()
                checkpointer.poll(learner.state, learner.learner_steps)
                learned = None
                with ignore_errors_while_stopping(stop):
                    learned = replay.learn(
                        learner.state, learner.learner_steps, _POLL_SECONDS
                    )
                if learned is not None:
                    learner.take(learned)
                    reporter.count(learner_steps=config.learner.steps_per_dispatch)
        except RuntimeError:
            # A diverged metric explains more than the error of the thread that failed.
            learner.check_metrics()
            raise
        learner.write_metrics()
        reporter.gauge(**replay.read_gauges())
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
        self._agent = make_agent(config, spec)
        optimizer = make_optimizer(config.learner)
        key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
        initial = init_state(self._agent, optimizer, key)
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

    def make_replay(
        self, spec: EnvironmentSpec, addresses: Sequence[str]
    ) -> DeviceReplay | ServerReplay:
        """Returns replay as `replay.sampled_on` says; it starts to read at once."""
        is_server = self._config.replay.sampled_on == "server"
        make: Any = ServerReplay if is_server else DeviceReplay
        return make(self._config, spec, self._agent, self._devices, addresses)

    def take(self, learned: Learned) -> None:
        """Takes the result of a dispatch, and waits until few enough are in flight."""
        learner = self._config.learner
        self.state, output, variables = learned
        self._under_way.append(output)
        if len(self._under_way) > _UNDER_WAY:
            jax.block_until_ready(self._under_way.popleft())
        self.learner_steps += learner.steps_per_dispatch
        if self.learner_steps - self._published >= learner.publish_period:
            self._publish(variables)
        dispatches = self.learner_steps // learner.steps_per_dispatch
        if dispatches % learner.metrics_period == 0:
            self.write_metrics()

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

    def _publish(self, variables: Variables | None = None) -> None:
        if variables is None:
            # Copied on the device: this does not wait for the updates in flight.
            held = self.state.params, self.state.network_state
            variables = copy_first_replica(held)
        self._published = self.learner_steps
        self._publisher.put(self.learner_steps, variables)
