"""The actor: steps its environments in lock-step and writes what it sees to replay."""

import collections
import statistics
import time
from typing import Any

import jax
import numpy as np

from distrl.actor.exploration import make_epsilon
from distrl.actor.n_step import NStepAccumulator
from distrl.actor.policy import compile_policy, make_policy
from distrl.agents import make_agent
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.environments import VectorEnvironment, make_environment
from distrl.replay import BlockWriter
from distrl.seeding import derive_seed
from distrl.telemetry.metrics import MetricsLog
from distrl.types import EnvironmentSpec, StopSignal
from distrl.variables import VariableClient

_RECENT_EPISODES = 100
_METRICS_SECONDS = 1.0


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

    Args:
      config: the whole configuration.
      spec: of the environment.
      index: which actor this is, from 0.
      replay_address: host:port of the Reverb server.
      variable_service: a client of `VariableService`.
      coordinator: a client of `Coordinator`.
      stop: ends the role.
    """
    name = f"actor/{index}"
    # A batch this small gains nothing from a queue of computations.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    agent = make_agent(config, spec)
    policy = make_policy(agent)
    environment = make_vector_environment(
        config, spec, config.actor.environments, "actor", index
    )
    accumulator = NStepAccumulator(
        config.actor.environments, config.actor.n_step, config.actor.discount
    )
    epsilon_at = make_epsilon(config, index)
    variables = VariableClient(variable_service, config, stop)
    reporter = Reporter(coordinator, name, config, stop)
    log = MetricsLog(config, name)
    returns: collections.deque[float] = collections.deque(maxlen=_RECENT_EPISODES)
    key = jax.random.PRNGKey(derive_seed(config.seed, "actor", index))
    seed = derive_seed(config.seed, "replay", index)
    writer = BlockWriter(replay_address, config, spec, seed, stop)
    env_steps, logged = 0, time.monotonic()
    epsilon = epsilon_at(0)
    observation = environment.reset()
    compile_policy(policy, agent, spec, config.actor.environments)
    if variables.await_first() is not None:
        variables.follow()
    while not stop.is_set():
        held = variables.latest()
        chosen, key = policy(held.params, held.network_state, key, observation, epsilon)
        action = np.asarray(chosen)
        step = environment.step(action)
        transitions = accumulator.add(
            observation,
            action,
            step.reward_t,
            step.discount_t,
            step.last_t,
            step.observation_t,
        )
        writer.write(transitions)
        observation = step.observation
        env_steps += len(action)
        reporter.count(env_steps=len(action))
        if step.episodes:
            returns.extend(episode.episode_return for episode in step.episodes)
            reporter.count(episodes=len(step.episodes))
        if reporter.is_due():
            reporter.gauge(held_learner_steps=held.learner_steps)
            recent = statistics.fmean(returns) if returns else None
            if recent is not None:
                reporter.gauge(training_return=recent)
            reporter.send()
            epsilon = epsilon_at(reporter.run_env_steps)
            if time.monotonic() - logged >= _METRICS_SECONDS:
                logged = time.monotonic()
                log.write(
                    env_steps,
                    {
                        "env_steps": env_steps,
                        "training_return": statistics.fmean(returns)
                        if returns
                        else None,
                        "epsilon": float(np.mean(epsilon)),
                        "version": held.version,
                        "learner_steps": held.learner_steps,
                    },
                )
    reporter.send(last=True)
    writer.close()
    environment.close()
    log.close()


def make_vector_environment(
    config: Config, spec: EnvironmentSpec, count: int, role: str, index: int
) -> VectorEnvironment:
    """Returns `count` environments, each with a seed of its own in the whole run."""
    return VectorEnvironment(
        [
            make_environment(
                config.environment,
                config.environment_args,
                derive_seed(config.seed, f"{role} environment", index, i),
            )
            for i in range(count)
        ],
        spec,
    )
