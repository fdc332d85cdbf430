"""An actor's side of its environments: act, step, and make items of what came."""

from typing import Any

import jax
import numpy as np

from distrl.actor.experience import ActorStep, Items, make_experience
from distrl.actor.exploration import make_explore
from distrl.actor.policy import Player
from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.environments import Episode, make_vector_environment
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec


class Interaction:
    """Steps E = `actor.environments` environments in lock-step, exploring."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        index: int,
        life: tuple[int, ...] = (),
    ):
        """Resets the environments.

        Args:
          config: the whole configuration.
          spec: of the environment.
          agent: whose values are acted on.
          index: which actor this is, from 0.
          life: of the actor (`Session.indices`), which draws other numbers in each.
        """
        count = config.actor.environments
        key = jax.random.PRNGKey(derive_seed(config.seed, "actor", index, *life))
        self._config = config
        self._spec = spec
        self._index = index
        self._environment = make_vector_environment(
            config, spec, count, "actor", index, life
        )
        self._player = Player(agent, make_explore(config), "act", count, key)
        self._experience = make_experience(config)
        self._observation = self._environment.reset()

    def compile(self) -> None:
        """Compiles the policy before there are parameters."""
        self._player.compile(self._spec)

    def start_anew(self, life: tuple[int, ...]) -> None:
        """Begins as one that was just made for another life; compiles nothing."""
        config, index = self._config, self._index
        self._environment.close()
        self._environment = make_vector_environment(
            config, self._spec, config.actor.environments, "actor", index, life
        )
        key = jax.random.PRNGKey(derive_seed(config.seed, "actor", index, *life))
        self._player.start_anew(key)
        self._experience = make_experience(config)
        self._observation = self._environment.reset()

    def step(
        self, params: Any, network_state: Any, amount: np.ndarray
    ) -> tuple[Items, list[Episode]]:
        """Takes a step in each environment.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          amount: `[E] float32`, of exploration.

        Returns:
          The items that became complete, and the episodes that ended.
        """
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
        return items, step.episodes

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()
