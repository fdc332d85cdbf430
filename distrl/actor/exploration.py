"""Exploration: the method, and its schedule in each environment."""

from collections.abc import Callable

import numpy as np

from distrl.agents.acting import Explore, boltzmann, epsilon_greedy
from distrl.config.schema import Config


def make_explore(config: Config) -> Explore:
    """Returns the exploration method of actors: epsilon-greedy or Boltzmann."""
    if config.actor.exploration.schedule == "boltzmann":
        return boltzmann
    return epsilon_greedy


def make_exploration_schedule(
    config: Config, actor_index: int
) -> Callable[[int], np.ndarray]:
    """Returns a function from the run's env steps to exploration, `[E] float32`.

    The exploration of an environment is its epsilon, or `boltzmann`'s temperature.

    `fixed` is `epsilon`; `linear` goes from `initial_epsilon` to `epsilon` over
    `decay_env_steps`; `apex` is base^(1 + alpha * i / (N - 1)) for environment i of the
    N of all actors, at every step (arXiv 1803.00933). Do not write to the returned
    arrays.
    """
    exploration = config.actor.exploration
    size = config.actor.environments
    if exploration.schedule == "linear":
        start, end = exploration.initial_epsilon, exploration.epsilon
        decay = exploration.decay_env_steps

        def decay_linearly(env_steps: int) -> np.ndarray:
            done = min(env_steps / decay, 1.0) if decay > 0 else 1.0
            return np.full(size, start + done * (end - start), np.float32)

        return decay_linearly

    if exploration.schedule == "apex":
        total = config.actor.count * size
        index = actor_index * size + np.arange(size)
        exponent = 1.0 + exploration.apex_alpha * index / max(total - 1, 1)
        constant = (exploration.apex_base**exponent).astype(np.float32)
    elif exploration.schedule == "boltzmann":
        constant = np.full(size, exploration.temperature, np.float32)
    else:
        constant = np.full(size, exploration.epsilon, np.float32)
    constant.setflags(write=False)
    return lambda env_steps: constant
