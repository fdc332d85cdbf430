"""An environment of pixels whose observation is a stack of frames."""

import dm_env
import numpy as np
from dm_env import specs

STACK = 3
_SIZE = 5


def draw(seed, episode, step):
    """Returns the frame of a step, which encodes its arguments, `[5, 5] uint8`."""
    frame = (37 * seed + 11 * episode + 5 * step + np.arange(_SIZE**2)) % 251
    frame[:3] = seed, episode, step
    return frame.reshape(_SIZE, _SIZE).astype(np.uint8)


def stack(seed, episode, step):
    """Returns the observation of a step, padded with zeros, `[5, 5, 3] uint8`."""
    return np.stack(
        [
            draw(seed, episode, each) if each >= 0 else np.zeros((5, 5), np.uint8)
            for each in range(step + 1 - STACK, step + 1)
        ],
        axis=-1,
    )


class Stacked(dm_env.Environment):
    """Episodes of one to twelve steps, half of which are truncated; rewards are 1."""

    def __init__(self, seed: int = 0):
        self._random = np.random.RandomState(seed)
        self._seed = 1 + seed % 255
        self._episode = self._step = self._length = 0

    def reset(self) -> dm_env.TimeStep:
        self._episode = (self._episode + 1) % 256
        self._step, self._length = 0, self._random.randint(1, 13)
        return dm_env.restart(self._observe())

    def step(self, action: int) -> dm_env.TimeStep:
        self._step += 1
        if self._step < self._length:
            return dm_env.transition(1.0, self._observe())
        if self._random.rand() < 0.5:
            return dm_env.truncation(1.0, self._observe())
        return dm_env.termination(1.0, self._observe())

    def observation_spec(self) -> specs.Array:
        return specs.Array((_SIZE, _SIZE, STACK), np.uint8, name="observation")

    def action_spec(self) -> specs.DiscreteArray:
        return specs.DiscreteArray(2)

    def _observe(self) -> np.ndarray:
        return stack(self._seed, self._episode, self._step)
