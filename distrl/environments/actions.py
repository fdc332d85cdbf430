"""The one kind of action that Q-learning here takes: a single discrete one."""

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.errors import ConfigError

MAX_ACTIONS = 65_536
"""A network has an output an action; a wider space is not meant to be enumerated."""


def refuse_actions(uri: str, space: Any) -> ConfigError:
    """Returns the error for an action space that is not a single discrete one."""
    return ConfigError(
        f"environment {uri!r} has the action space {space!r}; distrl needs a single "
        f"discrete action with at most {MAX_ACTIONS} values. Write a factory that "
        "wraps the environment and maps 0 to n - 1 to actions of that space (a grid "
        "over a continuous one, each combination of several), and name it as "
        "package.module:factory."
    )


def count_actions(action_spec: Any, uri: str) -> int:
    """Returns the number of actions of a scalar integer spec.

    Raises:
      ConfigError: for anything but a `DiscreteArray`, or a `BoundedArray` of shape
        `[]` and an integer dtype, with at most `MAX_ACTIONS` values.
    """
    if (
        not isinstance(action_spec, specs.BoundedArray)
        or action_spec.shape != ()
        or action_spec.dtype.kind not in "iu"
    ):
        raise refuse_actions(uri, action_spec)
    # Python integers: the difference of two int64 bounds may not fit in one.
    num_actions = int(action_spec.maximum) - int(action_spec.minimum) + 1
    if num_actions > MAX_ACTIONS:
        raise refuse_actions(uri, action_spec)
    return num_actions


class ShiftedActions(dm_env.Environment):
    """An environment whose actions begin at its spec's minimum, made to begin at 0."""

    def __init__(self, environment: dm_env.Environment, num_actions: int):
        """Wraps `environment`, whose action spec is a scalar BoundedArray."""
        self._environment = environment
        self._minimum = environment.action_spec().minimum
        self._action_spec = specs.DiscreteArray(num_actions, np.int64, name="action")

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._environment.reset()

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes the action `minimum + action`."""
        minimum = self._minimum
        return self._environment.step(minimum.dtype.type(action + int(minimum)))

    def observation_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.observation_spec()

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def reward_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.reward_spec()

    def discount_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.discount_spec()

    def close(self) -> None:
        """Closes the wrapped environment."""
        self._environment.close()
