"""Environments that raise on illegal actions."""

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from gymnasium import spaces

CELLS = 5
"""The cells, and the largest return; random play has 1 + 1/2 + ... + 1/5 = 2.3."""


class Board(gymnasium.Env):
    """Cells to fill, each once: the first empty one pays 1; the mask is in `info`."""

    observation_space = spaces.Box(0, 1, (CELLS,), np.float32)
    action_space = spaces.Discrete(CELLS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cells = np.zeros(CELLS, np.float32)
        return self.observe(), self.inform()

    def step(self, action):
        if self.cells[action]:
            raise ValueError(f"action {action} is illegal")
        reward = float(self.cells[:action].all())
        self.cells[action] = 1
        is_over = bool(self.cells.all())
        return self.observe(), reward, is_over, False, self.inform()

    def observe(self):
        return self.cells.copy()

    def inform(self):
        return {"action_mask": self.find_mask()}

    def find_mask(self):
        return (self.cells == 0).astype(np.int8)


class Shown(Board):
    """Board that observes the mask next to an array, as in PettingZoo."""

    observation_space = spaces.Dict(
        observation=Board.observation_space, action_mask=spaces.MultiBinary(CELLS)
    )

    def observe(self):
        return {"observation": self.cells.copy(), "action_mask": self.find_mask()}

    def inform(self):
        return {}


class Parts(Shown):
    """Board that observes a boolean mask next to several arrays."""

    observation_space = spaces.Dict(
        filled=Board.observation_space,
        count=spaces.Discrete(CELLS + 1),
        action_mask=spaces.Box(0, 1, (CELLS,), np.bool_),
    )

    def observe(self):
        return {
            "filled": self.cells.copy(),
            "count": int(self.cells.sum()),
            "action_mask": self.cells == 0,
        }


class Frames(Board):
    """Board that observes a stack of two images, the last and the one before."""

    observation_space = spaces.Box(0, 255, (CELLS, 1, 2), np.uint8)

    def reset(self, *, seed=None, options=None):
        self.before = np.zeros(CELLS, np.float32)
        return super().reset(seed=seed)

    def step(self, action):
        self.before = self.cells.copy()
        return super().step(action)

    def observe(self):
        stack = np.stack([self.before, self.cells], axis=1)
        return (255 * stack[:, None]).astype(np.uint8)


class Native(dm_env.Environment):
    """Board as a dm_env environment whose actions begin at 1."""

    def reset(self):
        self.cells = np.zeros(CELLS, np.float32)
        return dm_env.restart(self.observe())

    def step(self, action):
        if self.cells[action - 1]:
            raise ValueError(f"action {action} is illegal")
        reward = float(self.cells[: action - 1].all())
        self.cells[action - 1] = 1
        end = dm_env.termination if self.cells.all() else dm_env.transition
        return end(reward, self.observe())

    def observe(self):
        return {"observation": self.cells.copy(), "action_mask": self.cells == 0}

    def observation_spec(self):
        return {
            "observation": specs.BoundedArray((CELLS,), np.float32, 0.0, 1.0),
            "action_mask": specs.Array((CELLS,), np.bool_),
        }

    def action_spec(self):
        return specs.BoundedArray((), np.int32, 1, CELLS)


ALL = (Board, Shown, Parts, Frames, Native)
