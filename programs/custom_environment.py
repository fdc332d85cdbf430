"""Your own environments in the distributed program, without registering them.

A corridor in which the agent walks to the right end: as a dm_env environment, as a
Gymnasium environment, and with a dict observation in which a sign says which end to
walk to.

    python programs/custom_environment.py [--field.path value ...]
"""

import sys
from pathlib import Path

import dm_env
import gymnasium
import numpy as np
from dm_env import specs

from distrl.cli.main import main

CONFIG = Path(__file__).parent.parent / "configs" / "catch.yaml"


class Corridor(dm_env.Environment):
    """Starts in a random cell; reaching the right end gives 1 and ends the episode."""

    def __init__(self, length=9, seed=0):
        """Takes the number of cells and the seed, which differs between instances."""
        self._length = length
        self._random = np.random.RandomState(seed)

    def reset(self):
        """Starts an episode."""
        self._taken = 0
        self._place = self._random.randint(1, self._length - 1)
        return dm_env.restart(self._observe())

    def step(self, action):
        """Goes left for action 0, right for action 1."""
        self._taken += 1
        self._place = max(0, self._place + (1 if action == 1 else -1))
        if self._place == self._length - 1:
            return dm_env.termination(1.0, self._observe())
        if self._taken == 4 * self._length:
            return dm_env.truncation(0.0, self._observe())
        return dm_env.transition(0.0, self._observe())

    def observation_spec(self):
        """Returns the spec of a one-hot vector."""
        return specs.BoundedArray((self._length,), np.float32, 0.0, 1.0)

    def action_spec(self):
        """Returns the spec of two actions."""
        return specs.DiscreteArray(2)

    def _observe(self):
        return np.eye(self._length, dtype=np.float32)[self._place]


class GymCorridor(gymnasium.Env):
    """The same corridor as a Gymnasium environment."""

    def __init__(self, length=9):
        """Takes the number of cells; `reset` takes the seed."""
        self._length = length
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (length,))
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        """Starts an episode."""
        super().reset(seed=seed)
        self._taken = 0
        self._place = int(self.np_random.integers(1, self._length - 1))
        return self._observe(), {}

    def step(self, action):
        """Goes left for action 0, right for action 1."""
        self._taken += 1
        self._place = max(0, self._place + (1 if action == 1 else -1))
        is_there = self._place == self._length - 1
        is_late = self._taken == 4 * self._length
        return self._observe(), float(is_there), is_there, is_late and not is_there, {}

    def _observe(self):
        return np.eye(self._length, dtype=np.float32)[self._place]


class Signpost(dm_env.Environment):
    """A corridor with a sign: the end that it names gives 1, the other one -1."""

    def __init__(self, length=9, seed=0):
        """Takes the number of cells and the seed."""
        self._length = length
        self._random = np.random.RandomState(seed)

    def reset(self):
        """Starts an episode."""
        self._taken = 0
        self._place = self._random.randint(1, self._length - 1)
        self._sign = self._random.randint(2)
        return dm_env.restart(self._observe())

    def step(self, action):
        """Goes left for action 0, right for action 1."""
        self._taken += 1
        self._place += 1 if action == 1 else -1
        if self._place in (0, self._length - 1):
            is_right = self._place > 0
            reward = 1.0 if is_right == self._sign else -1.0
            return dm_env.termination(reward, self._observe())
        if self._taken == 4 * self._length:
            return dm_env.truncation(0.0, self._observe())
        return dm_env.transition(0.0, self._observe())

    def observation_spec(self):
        """Returns a dict of specs; observations have the same keys."""
        return {
            "place": specs.BoundedArray((self._length,), np.float32, 0.0, 1.0),
            "sign": specs.DiscreteArray(2, np.int32),
        }

    def action_spec(self):
        """Returns the spec of two actions."""
        return specs.DiscreteArray(2)

    def _observe(self):
        place = np.eye(self._length, dtype=np.float32)[self._place]
        return {"place": place, "sign": np.int32(self._sign)}


if __name__ == "__main__":
    environment = "--environment=custom_environment:Corridor"
    sys.exit(main(["train", str(CONFIG), environment, *sys.argv[1:]]))
