"""Greedy evaluation episodes with frozen parameters, and their statistics."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import haiku as hk
import jax
import numpy as np

from distrl.actor.policy import Policy
from distrl.agents.acting import epsilon_greedy
from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.environments import Episode, VectorEnvironment, make_vector_environment
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

_CONFIDENCE = 0.95
# Of the integral of Student's density: six digits for any number of episodes.
_ANGLES = 100_001


class Evaluation:
    """Plays `episodes` greedy episodes with frozen parameters, in its environments."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        incarnation: tuple[int, ...] = (),
        environment: VectorEnvironment | None = None,
    ):
        """Makes `evaluation.environments`, or takes `environment`, which it closes."""
        self.episodes = config.evaluation.episodes
        size = config.evaluation.environments
        self._make_environment = functools.partial(
            make_vector_environment, config, spec, size, "evaluator", 0
        )
        self._config, self._spec = config, spec
        self._environment = environment or self._make_environment(incarnation)
        key = self._make_key(incarnation)
        self._policy = Policy(agent, epsilon_greedy, "evaluate", size, key)
        self._epsilon = np.full(size, config.evaluation.epsilon, np.float32)

    def compile(self) -> None:
        """Compiles the policy; needs no parameters."""
        self._policy.compile(self._spec)

    def restart(self, incarnation: tuple[int, ...]) -> None:
        """Starts again as another incarnation, without compiling."""
        self._environment.close()
        self._environment = self._make_environment(incarnation)
        self._policy.restart(self._make_key(incarnation))

    def play(
        self,
        params: hk.Params,
        network_state: hk.State,
        should_continue: Callable[[int], bool],
    ) -> list[Episode] | None:
        """Returns the episodes; see `play_episodes`."""

        def act(observation: Any, first: np.ndarray) -> np.ndarray:
            self._policy.end_episodes(first)
            return self._policy.act(
                params, network_state, observation, self._epsilon
            ).action

        limit = self._config.evaluation.max_episode_steps
        return play_episodes(
            self._environment, act, self.episodes, should_continue, limit
        )

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()

    def _make_key(self, incarnation: tuple[int, ...]) -> jax.Array:
        seed = derive_seed(self._config.seed, "evaluator", *incarnation)
        return jax.random.PRNGKey(seed)


def play_episodes(
    environment: VectorEnvironment,
    act: Callable[[Any, np.ndarray], np.ndarray],
    count: int,
    should_continue: Callable[[int], bool],
    max_steps: int | None = None,
) -> list[Episode] | None:
    """Plays complete episodes, the same number in each of the E environments.

    Taking the first episodes to finish instead would favor short ones. Returns them
    grouped by environment, or None if interrupted.

    Args:
      act: from observations `[E, ...]` and `[E] bool`, whether each is the first of
        an episode, to actions `[E] int32`.
      count: if E does not divide it, the first environments play one more.
      should_continue: called before each step with the number of finished episodes;
        False interrupts.
      max_steps: longer episodes are cut off and count with their return so far.
    """
    size = len(environment)
    quotas = [len(range(index, count, size)) for index in range(size)]
    finished: list[list[Episode]] = [[] for _ in quotas]
    observation = environment.reset()
    first = np.ones(size, bool)
    while (done := sum(map(len, finished))) < count:
        if not should_continue(done):
            return None
        step = environment.step(act(observation, first), max_steps)
        observation, first = step.observation, step.last_t
        for episode in step.episodes:
            index = episode.environment
            if len(finished[index]) < quotas[index]:
                finished[index].append(episode)
    return [episode for each in finished for episode in each]


def summarize_episodes(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Returns the columns of the evaluator's metrics that describe the episodes."""
    returns = [episode.episode_return for episode in episodes]
    return {
        "episodes": len(episodes),
        "truncated_episodes": sum(episode.is_cut for episode in episodes),
        "mean_return": float(np.mean(returns)),
        "std_return": float(np.std(returns)),
        "min_return": float(np.min(returns)),
        "max_return": float(np.max(returns)),
    }


def report_episodes(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Returns the summary, a confidence interval and every episode, as JSON data.

    `std_return` is the population's, as in the run's metrics; the interval uses the
    unbiased estimate.
    """
    returns = np.array([episode.episode_return for episode in episodes])
    lengths = [episode.length for episode in episodes]
    interval = confidence_interval(returns, _CONFIDENCE)
    return {
        **summarize_episodes(episodes),
        "confidence": _CONFIDENCE,
        "interval": None if interval is None else list(interval),
        "interval_method": "Student t",
        "mean_length": float(np.mean(lengths)),
        "min_length": min(lengths),
        "max_length": max(lengths),
        "returns": returns.tolist(),
        "lengths": lengths,
    }


def confidence_interval(
    returns: np.ndarray, confidence: float
) -> tuple[float, float] | None:
    """Returns Student's t interval for the mean; None for a single return.

    The returns, `[N] float64`, must be independent, and normally distributed or many.
    """
    freedom = len(returns) - 1
    if freedom == 0:
        return None
    # With t = sqrt(freedom) tan(angle) the density is a power of the cosine.
    angles = np.linspace(0, np.pi / 2, _ANGLES)
    density = np.cos(angles) ** (freedom - 1)
    weights = np.append(0, np.cumsum(density[1:] + density[:-1]))
    angle = np.interp(confidence * weights[-1], weights, angles)
    # sqrt(freedom) of the quantile cancels that of the unbiased deviation.
    half = math.tan(angle) * float(np.std(returns))
    mean = float(np.mean(returns))
    return mean - half, mean + half
