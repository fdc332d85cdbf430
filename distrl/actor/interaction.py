"""The actor's loop body: act, step the environments, accumulate items."""

import collections
import functools
import statistics

import haiku as hk
import jax
import numpy as np

from distrl.actor.exploration import make_explore
from distrl.actor.n_step import NStepAccumulator, squash
from distrl.actor.policy import Policy
from distrl.actor.sequence import SequenceAccumulator
from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.environments import Episode, make_vector_environment
from distrl.seeding import derive_seed
from distrl.types import ActorStep, EnvironmentSpec, Items

_RECENT_EPISODES = 100


class Interaction:
    """Steps E = `actor.environments` environments in lock-step, with exploration."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        index: int,
        incarnation: tuple[int, ...] = (),
    ):
        """Resets the environments; seeds depend on `index` and `incarnation`."""
        size = config.actor.environments
        self._make_environment = functools.partial(
            make_vector_environment, config, spec, size, "actor", index
        )
        self._config = config
        self._spec = spec
        self._index = index
        self._returns: collections.deque[float] = collections.deque(
            maxlen=_RECENT_EPISODES
        )
        self._exploration = np.zeros(size, np.float32)
        key = self._make_key(incarnation)
        self._policy = Policy(agent, make_explore(config), "act", size, key)
        self._begin(incarnation)

    def compile(self) -> None:
        """Compiles the policy before there are parameters."""
        self._policy.compile(self._spec)

    def restart(self, incarnation: tuple[int, ...]) -> None:
        """Restarts as another incarnation, without compiling again."""
        self._environment.close()
        self._policy.restart(self._make_key(incarnation))
        self._begin(incarnation)

    def _begin(self, incarnation: tuple[int, ...]) -> None:
        self._environment = self._make_environment(incarnation)
        self._accumulator = make_accumulator(self._config)
        self._observation = self._environment.reset()

    def step(
        self, params: hk.Params, network_state: hk.State, exploration: np.ndarray
    ) -> tuple[Items, list[Episode]]:
        """Takes a step in each environment; returns completed items and episodes.

        `exploration` is `[E] float32`, epsilon or temperature of each environment.
        """
        observation, self._exploration = self._observation, exploration
        choice = self._policy.act(params, network_state, observation, exploration)
        step = self._environment.step(choice.action)
        bound, reward_t = self._config.actor.max_abs_reward, step.reward_t
        if bound is not None:
            reward_t = np.clip(reward_t, -bound, bound)
        items = self._accumulator.add(
            ActorStep(
                observation_tm1=observation,
                action_tm1=choice.action,
                reward_t=reward_t,
                discount_t=step.discount_t,
                last_t=step.last_t,
                observation_t=step.observation_t,
                q_tm1=choice.q,
                carry_tm1=choice.carry,
            )
        )
        self._policy.end_episodes(step.last_t)
        self._observation = step.observation
        self._returns.extend(episode.episode_return for episode in step.episodes)
        return items, step.episodes

    def describe(self) -> dict[str, float | None]:
        """Returns the mean return of the last 100 episodes and the mean exploration."""
        recent = statistics.fmean(self._returns) if self._returns else None
        exploration = float(np.mean(self._exploration))
        return {"training_return": recent, "exploration": exploration}

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()

    def _make_key(self, incarnation: tuple[int, ...]) -> jax.Array:
        seed = derive_seed(self._config.seed, "actor", self._index, *incarnation)
        return jax.random.PRNGKey(seed)


def make_accumulator(config: Config) -> NStepAccumulator | SequenceAccumulator:
    """Returns the accumulator of n-step transitions, or of sequences."""
    actor, replay = config.actor, config.replay
    if replay.sequence_length is not None:
        return SequenceAccumulator(
            actor.environments,
            replay.sequence_length,
            replay.sequence_stride,
            actor.discount,
        )
    scale = None
    if actor.initial_priorities:
        is_squashed = config.loss.value_transform == "signed_hyperbolic"
        scale = squash if is_squashed else lambda x: x
    return NStepAccumulator(actor.environments, actor.n_step, actor.discount, scale)
