"""Environments that observe their seed, episode and step."""

import dm_env
import numpy as np
from dm_env import specs

from distrl.environments import make_spec
from distrl.types import EnvironmentSpec


class Counting(dm_env.Environment):
    """Observes (seed, episode, step); step t of an episode's `length` steps pays t."""

    def __init__(self, length: int = 3, seed: int = 0):
        self.seed = seed
        self.length = length
        self.episode = 0
        self.taken = 0

    def reset(self) -> dm_env.TimeStep:
        self.episode += 1
        self.taken = 0
        return dm_env.restart(self._observe())

    def step(self, action: int) -> dm_env.TimeStep:
        self.taken += 1
        reward = self.reward(int(action))
        if self.taken == self.length:
            return dm_env.termination(reward, self._observe())
        return dm_env.transition(reward, self._observe())

    def reward(self, action: int) -> float:
        del action
        return float(self.taken)

    def observation_spec(self) -> specs.Array:
        return specs.Array((3,), np.int32, name="observation")

    def action_spec(self) -> specs.DiscreteArray:
        return specs.DiscreteArray(3)

    def _observe(self) -> np.ndarray:
        return np.array([self.seed, self.episode, self.taken], np.int32)


class Rewarding(Counting):
    """Counting whose reward is the action."""

    def reward(self, action: int) -> float:
        return float(action)


SPEC: EnvironmentSpec = make_spec(Counting())
