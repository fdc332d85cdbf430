"""The actor: steps its environments in lock-step and writes what it sees to replay."""

import collections
import statistics
import time
from typing import Any

import jax
import numpy as np

from distrl.actor.experience import ActorStep, make_experience
from distrl.actor.exploration import make_amount, make_explore
from distrl.actor.policy import Player
from distrl.agents import make_agent
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.environments import VectorEnvironment, make_environment
from distrl.remote import forgive_at_the_end
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
    environment = make_vector_environment(
        config, spec, config.actor.environments, "actor", index
    )
    key = jax.random.PRNGKey(derive_seed(config.seed, "actor", index))
    player = Player(
        make_agent(config, spec), make_explore(config), "act", len(environment), key
    )
    experience = make_experience(config)
    amount_at = make_amount(config, index)
    variables = VariableClient(variable_service, config, stop)
    reporter = Reporter(coordinator, name, config, stop)
    log = MetricsLog(config, name)
    returns: collections.deque[float] = collections.deque(maxlen=_RECENT_EPISODES)
    seed = derive_seed(config.seed, "replay", index)
    writer = BlockWriter(replay_address, config, spec, seed, stop)
    env_steps, logged = 0, time.monotonic()
    amount = amount_at(0)
    observation = environment.reset()
    player.compile(spec)
    if variables.await_first() is not None:
        variables.follow()
    while not stop.is_set():
        held = variables.latest()
        choice = player.act(held.params, held.network_state, observation, amount)
        step = environment.step(choice.action)
        items = experience.add(
            ActorStep(
                observation_tm1=observation,
                action_tm1=choice.action,
                reward_t=step.reward_t,
                discount_t=step.discount_t,
                last_t=step.last_t,
                observation_t=step.observation_t,
                q_tm1=choice.q,
                carry_tm1=choice.carry,
            )
        )
        with forgive_at_the_end(stop):
            writer.write(*items)
        player.end_episodes(step.last_t)
        observation = step.observation
        env_steps += len(environment)
        reporter.count(env_steps=len(environment))
        if step.episodes:
            returns.extend(episode.episode_return for episode in step.episodes)
            reporter.count(episodes=len(step.episodes))
        if reporter.is_due():
            reporter.gauge(held_learner_steps=held.learner_steps)
            recent = statistics.fmean(returns) if returns else None
            if recent is not None:
                reporter.gauge(training_return=recent)
            reporter.send()
            amount = amount_at(reporter.run_env_steps)
            if time.monotonic() - logged >= _METRICS_SECONDS:
                logged = time.monotonic()
                log.write(
                    env_steps,
                    {
                        "env_steps": env_steps,
                        "training_return": statistics.fmean(returns)
                        if returns
                        else None,
                        "exploration": float(np.mean(amount)),
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
                last_action_reward=config.network.last_action_reward,
            )
            for i in range(count)
        ],
        spec,
    )
