"""The actor node: steps its environments and writes items to replay."""

from typing import Any

import jax

from distrl.actor.exploration import make_exploration_schedule
from distrl.actor.interaction import Interaction
from distrl.agents import make_agent
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.replay import BlockWriter
from distrl.seeding import derive_seed, read_session
from distrl.system.remote import ignore_errors_while_stopping
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import VariableClient


def run_actor(
    config: Config,
    spec: EnvironmentSpec,
    index: int,
    replay_address: str,
    variable_service: Any,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Acts until `stop` is set.

    `variable_service` is a client of the node that `find_source` names, `coordinator`
    one of `Coordinator`.
    """
    name = f"actor/{index}"
    # Batches this small do not gain from asynchronous dispatch.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    incarnation, agent = read_session().indices, make_agent(config, spec)
    interaction = Interaction(config, spec, agent, index, incarnation)
    schedule = make_exploration_schedule(config, index)
    variables = VariableClient(variable_service, config, stop, index)
    reporter = Reporter(coordinator, name, config, stop)
    log = MetricsLog(config, name)
    seed = derive_seed(config.seed, "replay", index, *incarnation)
    writer = BlockWriter(replay_address, config, spec, seed, stop)
    env_steps = 0
    exploration = schedule(0)
    interaction.compile()
    if variables.await_first() is not None:
        variables.follow()
    while not stop.is_set():
        held = variables.latest()
        items, episodes = interaction.step(held.params, held.network_state, exploration)
        with ignore_errors_while_stopping(stop):
            writer.write(*items)
        env_steps += config.actor.environments
        reporter.count(env_steps=config.actor.environments, episodes=len(episodes))
        if reporter.is_due():
            staleness = variables.staleness()
            reporter.gauge(
                held_learner_steps=held.learner_steps, staleness_seconds=staleness
            )
            described = interaction.describe()
            if (recent := described["training_return"]) is not None:
                reporter.gauge(training_return=recent)
            reporter.send()
            exploration = schedule(reporter.progress.env_steps)
            log.write(
                env_steps,
                {
                    "env_steps": env_steps,
                    **described,
                    "version": held.version,
                    "learner_steps": held.learner_steps,
                    "staleness_seconds": round(staleness, 3),
                },
            )
    reporter.send(last=True)
    writer.close()
    interaction.close()
    log.close()
