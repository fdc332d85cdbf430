"""An environment whose steps take a given time and almost no processor."""

import time

import dm_env
import numpy as np
from dm_env import specs

_EPISODE_STEPS = 100
_ACTIONS = 4


class Waiting(dm_env.Environment):
    """Waits in `step`, like an environment that is simulated on another machine."""

    def __init__(self, wait: float = 0.1, size: int = 64, seed: int = 0):
        """Takes the seconds per step and the size of an observation."""
        self._wait = wait
        self._size = size
        self._random = np.random.RandomState(seed)
        self._steps = 0

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        self._steps = 0
        return dm_env.restart(self._observe())

    def step(self, action: int) -> dm_env.TimeStep:
        """Waits; one of the actions is rewarded."""
        time.sleep(self._wait)
        self._steps += 1
        reward = float(action == 0)
        if self._steps == _EPISODE_STEPS:
            return dm_env.termination(reward, self._observe())
        return dm_env.transition(reward, self._observe())

    def observation_spec(self) -> specs.Array:
        """Returns the spec of a vector."""
        return specs.Array((self._size,), np.float32, "numbers")

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of the actions."""
        return specs.DiscreteArray(_ACTIONS)

    def _observe(self) -> np.ndarray:
        return self._random.random_sample(self._size).astype(np.float32)
