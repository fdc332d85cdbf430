"""Both players of the loop: one explores and makes items, one is judged."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from distrl.actor.experience import ActorStep, Items, make_experience
from distrl.actor.exploration import make_amount, make_explore
from distrl.actor.policy import Player
from distrl.actor.role import make_vector_environment
from distrl.agents.acting import epsilon_greedy
from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.evaluator import evaluate
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec


class Played(NamedTuple):
    """One step of E environments.

    Attributes:
      items: what became complete.
      returns: of the episodes that ended.
      exploration: the mean amount of it.
    """

    items: Items
    returns: list[float]
    exploration: float


class SerialActor:
    """Actor 0 of a run that has no other: the same seeds, policy and items."""

    def __init__(self, config: Config, spec: EnvironmentSpec, agent: Agent):
        """Resets E = `actor.environments` environments."""
        alone = dataclasses.replace(
            config, actor=dataclasses.replace(config.actor, count=1)
        )
        count = config.actor.environments
        self._environment = make_vector_environment(config, spec, count, "actor", 0)
        key = jax.random.PRNGKey(derive_seed(config.seed, "actor", 0))
        self._player = Player(agent, make_explore(config), "act", count, key)
        self._experience = make_experience(config)
        self._amount_at = make_amount(alone, 0)
        self._observation = self._environment.reset()

    def step(self, params: Any, network_state: Any, env_steps: int) -> Played:
        """Takes a step in each environment.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          env_steps: those of the run so far.
        """
        amount = self._amount_at(env_steps)
        choice = self._player.act(params, network_state, self._observation, amount)
        step = self._environment.step(choice.action)
        items = self._experience.add(
            ActorStep(
                observation_tm1=self._observation,
                action_tm1=choice.action,
                reward_t=step.reward_t,
                discount_t=step.discount_t,
                last_t=step.last_t,
                observation_t=step.observation_t,
                q_tm1=choice.q,
                carry_tm1=choice.carry,
            )
        )
        self._player.end_episodes(step.last_t)
        self._observation = step.observation
        returns = [episode.episode_return for episode in step.episodes]
        return Played(items, returns, float(np.mean(amount)))

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()


class SerialEvaluator:
    """Whole greedy episodes, in environments of its own."""

    def __init__(self, config: Config, spec: EnvironmentSpec, agent: Agent):
        """Makes `evaluation.environments` environments."""
        count = config.evaluation.environments
        self._episodes = config.evaluation.episodes
        self._environment = make_vector_environment(config, spec, count, "evaluator", 0)
        key = jax.random.PRNGKey(derive_seed(config.seed, "evaluator"))
        self._player = Player(agent, epsilon_greedy, "evaluate", count, key)
        self._epsilon = np.full(count, config.evaluation.epsilon, np.float32)

    def run(
        self, params: Any, network_state: Any, go_on: Callable[[], bool]
    ) -> np.ndarray | None:
        """Returns the returns of `evaluation.episodes`, or None when it gave up.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          go_on: asked before each step; False gives up.
        """

        def act(observation: Any, first: np.ndarray) -> np.ndarray:
            self._player.end_episodes(first)
            choice = self._player.act(params, network_state, observation, self._epsilon)
            return choice.action

        return evaluate(self._environment, act, self._episodes, go_on)

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()
