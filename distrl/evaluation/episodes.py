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

CONFIDENCE = 0.95
METHOD = "Student t"
# As many as double precision can use.
_BISECTIONS = 60


class Evaluation:
    """Plays greedy episodes with frozen parameters in its own environments."""

    def __init__(
        self,
        config: Config,
        spec: EnvironmentSpec,
        agent: Agent,
        incarnation: tuple[int, ...] = (),
        environment: VectorEnvironment | None = None,
    ):
        """Makes the environments and starts E episodes.

        Args:
          incarnation: of the node, part of the seeds.
          environment: E environments, which `close` closes; None makes
            `evaluation.environments`.
        """
        size = (
            config.evaluation.environments if environment is None else len(environment)
        )
        self._make_environment = functools.partial(
            make_vector_environment, config, spec, size, "evaluator", 0
        )
        self._config = config
        self._spec = spec
        self._environment = environment or self._make_environment(incarnation)
        self._policy = Policy(
            agent, epsilon_greedy, "evaluate", size, self._make_key(incarnation)
        )
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
        """Returns `evaluation.episodes` episodes, or None if interrupted.

        `should_continue` is that of `play_episodes`.
        """

        def act(observation: Any, first: np.ndarray) -> np.ndarray:
            self._policy.end_episodes(first)
            choice = self._policy.act(params, network_state, observation, self._epsilon)
            return choice.action

        evaluation = self._config.evaluation
        return play_episodes(
            self._environment,
            act,
            evaluation.episodes,
            should_continue,
            evaluation.max_episode_steps,
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

    Taking the first episodes to finish instead would favour short ones. Returns them
    grouped by environment, or None if interrupted.

    Args:
      environment: E environments; they are reset first.
      act: from observations `[E, ...]` and `[E] bool`, whether each is the first of
        an episode, to actions `[E] int32`.
      count: the number of episodes; if E does not divide it, the first environments
        play one more.
      should_continue: called before each step with the number of finished episodes;
        False interrupts the evaluation.
      max_steps: episodes are cut off after this many steps and count with their
        return so far; None for no limit.
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
    """Returns the columns of a metrics row that describe an evaluation."""
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
    interval = confidence_interval(returns, CONFIDENCE)
    return {
        **summarize_episodes(episodes),
        "confidence": CONFIDENCE,
        "interval": None if interval is None else list(interval),
        "interval_method": METHOD,
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

    The returns, `[N] float64`, must be independent. Such an interval contains the true
    mean with probability `confidence` if they are normally distributed or many.
    """
    count = len(returns)
    if count < 2:
        return None
    quantile = _student_t_quantile(confidence, count - 1)
    half = quantile * float(np.std(returns, ddof=1)) / math.sqrt(count)
    mean = float(np.mean(returns))
    return mean - half, mean + half


def _student_t_quantile(confidence: float, freedom: int) -> float:
    """Returns the t for which P(|T| < t) = confidence."""
    # In theta = atan(t / sqrt(freedom)) the probability is a finite sum: Abramowitz
    # and Stegun, 26.7.3 and 26.7.4.
    odd = freedom % 2
    orders = np.arange(2 + odd, freedom, 2)
    factors = np.cumprod((orders - 1) / orders)

    def probability(theta: float) -> float:
        series = 1 + np.sum(factors * math.cos(theta) ** (orders - odd))
        if not odd:
            return math.sin(theta) * series
        cosine = math.cos(theta) if freedom > 1 else 0.0
        return 2 / math.pi * (theta + math.sin(theta) * cosine * series)

    low, high = 0.0, math.pi / 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if probability(middle) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)
