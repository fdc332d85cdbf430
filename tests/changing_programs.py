"""An environment and a network that are described by a JSON file, to be changed."""

import json
from pathlib import Path

import gymnasium
import haiku as hk
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

FIRST = {
    "observation": {"map": ["float32", [2, 2], 0, 1], "speed": ["int32", [1], -1, 1]},
    "actions": 2,
    "hidden": 4,
}


class Changing(gymnasium.Env):
    """Shows the lower bounds for five steps; pays 1 for action 1."""

    def __init__(self, file):
        said = json.loads(Path(file).read_text())
        self.action_space = spaces.Discrete(said["actions"])
        self.observation_space = spaces.Dict(
            {
                name: spaces.Box(low, high, tuple(shape), np.dtype(dtype))
                for name, (dtype, shape, low, high) in said["observation"].items()
            }
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._taken = 0
        return self._observe(), {}

    def step(self, action):
        self._taken += 1
        return self._observe(), float(action == 1), self._taken == 5, False, {}

    def _observe(self):
        return {name: space.low for name, space in self.observation_space.items()}


def network(spec, file):
    """Makes a hidden layer whose width is in the file."""
    del spec
    width = json.loads(Path(file).read_text())["hidden"]

    def apply(observation, is_training):
        del is_training
        parts = [observation[name] for name in sorted(observation)]
        flat = [x.reshape(len(x), -1).astype(jnp.float32) for x in parts]
        return hk.Linear(width)(jnp.concatenate(flat, -1))

    return apply
