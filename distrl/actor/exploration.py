"""How, and how much, each environment explores."""

from collections.abc import Callable

import numpy as np

from distrl.agents.acting import Explore, boltzmann, epsilon_greedy
from distrl.config.schema import Config

AmountFn = Callable[[int], np.ndarray]
"""From the env_steps of the whole run to `[E] float32`."""


def make_explore(config: Config) -> Explore:
    """Returns how actors explore: epsilon-greedily, or by a softmax."""
    if config.actor.exploration.schedule == "boltzmann":
        return boltzmann
    return epsilon_greedy


def make_amount(config: Config, actor_index: int) -> AmountFn:
    """Returns how much each environment of an actor explores, by the run's env_steps.

    It is an epsilon, or the temperature of `boltzmann`.

    `fixed` is `epsilon`; `linear` goes from `initial_epsilon` to `epsilon` over
    `decay_env_steps`; `apex` is base^(1 + alpha * i / (N - 1)) for environment i of
    the N of all actors, whatever the step (arXiv 1803.00933).

    Args:
      config: the run's configuration; its `actor` group is read.
      actor_index: which actor it is, from 0.

    Returns:
      A function from env_steps of the whole run to `[E] float32`, an
      array that is not to be written to.
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
