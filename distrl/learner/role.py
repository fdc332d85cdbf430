"""The learner: samples, updates, publishes, and sends priorities back."""

import collections
import time
from typing import Any

import jax
import numpy as np

from distrl.agents import make_agent
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.items import make_item_spec, make_zeros
from distrl.learner.feed import Feed, put_superbatch
from distrl.learner.health import check_arrays, check_metrics
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import TrainState, first_replica, init_state, replicate
from distrl.learner.superbatch import join_superbatch
from distrl.learner.update import UpdateOutput, make_update, read_metrics
from distrl.remote import forgive_at_the_end
from distrl.replay import PriorityUpdater, ReplaySampler
from distrl.seeding import derive_seed
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import Publisher

_POLL_SECONDS = 0.2
# Updates that may be under way before the loop waits for the oldest.
_UNDER_WAY = 2


def run_learner(
    config: Config,
    spec: EnvironmentSpec,
    replay_address: str,
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Learns until `stop` is set.

    Args:
      config: the whole configuration.
      spec: of the environment.
      replay_address: host:port of the Reverb server.
      variable_service: a client of `VariableService`.
      coordinator: a client of `Coordinator`.
      stop: ends the role.
    """
    devices = jax.local_devices()[: config.learner.devices]
    agent = make_agent(config, spec)
    optimizer = make_optimizer(config.learner)
    update = make_update(agent, optimizer, config, devices)
    key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
    initial = init_state(agent, optimizer, key)
    state = replicate(initial, devices)
    reporter = Reporter(coordinator, "learner", config, stop)
    publisher = Publisher(variable_service, config, stop)
    publisher.put(0, _variables(state))
    feed = Feed(ReplaySampler(replay_address, config, spec), config, devices)
    # Compile while the actors fill replay; the update donates what it is given.
    spare = replicate(initial, devices)
    jax.block_until_ready(update(spare, *_zeros(config, spec, devices)))
    priorities = None
    if config.replay.kind == "prioritized":
        priorities = PriorityUpdater(replay_address, config, join_superbatch)
    metrics = _Metrics(config)
    under_way: collections.deque[UpdateOutput] = collections.deque()
    dispatches, learner_steps, published = 0, 0, 0
    while not stop.is_set():
        if reporter.is_due():
            reporter.send()
        superbatch = None
        with forgive_at_the_end(stop):
            superbatch = feed.get(_POLL_SECONDS)
        if superbatch is None:
            continue
        state, output = update(state, superbatch.items, superbatch.probabilities)
        under_way.append(output)
        if len(under_way) > _UNDER_WAY:
            jax.block_until_ready(under_way.popleft())
        dispatches += 1
        learner_steps += config.learner.steps_per_dispatch
        reporter.count(learner_steps=config.learner.steps_per_dispatch)
        if priorities is not None:
            with forgive_at_the_end(stop):
                try:
                    priorities.check()
                except RuntimeError:
                    # Priorities that are no numbers come of such a loss.
                    check_metrics(read_metrics(output), learner_steps)
                    raise
            priorities.put(superbatch.keys, output.priorities)
        if learner_steps - published >= config.learner.publish_period:
            published = learner_steps
            variables = _variables(state)
            check_arrays("parameters", variables, learner_steps)
            publisher.put(learner_steps, variables)
        if dispatches % config.learner.metrics_period == 0:
            metrics.write(learner_steps, output)
    if under_way:
        metrics.write(learner_steps, under_way[-1])
    reporter.send(last=True)
    publisher.close(_POLL_SECONDS)
    if priorities is not None:
        priorities.close()
    feed.close(_POLL_SECONDS)
    metrics.close()


class _Metrics:
    """The learner's rows: what the loss says, and how fast it goes."""

    def __init__(self, config: Config):
        self._log = MetricsLog(config, "learner")
        self._written = (time.monotonic(), 0)

    def write(self, learner_steps: int, output: UpdateOutput) -> None:
        """Adds a row, unless there is one of this step; waits for the device.

        Raises:
          DivergedError: a metric is no number; its row is written all the same.
        """
        values = read_metrics(output)
        now, (then, before) = time.monotonic(), self._written
        if learner_steps == before:
            return
        rate = (learner_steps - before) / (now - then)
        self._log.write(
            learner_steps,
            {"learner_steps": learner_steps, "steps_per_second": rate, **values},
        )
        self._written = (now, learner_steps)
        check_metrics(values, learner_steps)

    def close(self) -> None:
        self._log.close()


def _variables(state: TrainState) -> Any:
    """Returns a host copy of what a policy needs."""
    return first_replica((state.params, state.network_state))


def _zeros(config: Config, spec: EnvironmentSpec, devices: Any) -> Any:
    """Returns a superbatch of zeros on the devices, and its probabilities of one."""
    size = config.learner.batch_size * config.learner.steps_per_dispatch
    items = make_zeros(make_item_spec(config, spec), size)
    nest = (items, np.ones(size, np.float32))
    return put_superbatch(nest, devices, config.learner.steps_per_dispatch)
