"""The one kind of action that Q-learning here takes: a single discrete one."""

import math
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.action_masks import ACTION_MASK
from distrl.errors import ConfigError

MAX_ACTIONS = 65_536
"""A network has an output an action; a wider space is not meant to be enumerated."""


def refuse_actions(uri: str, space: Any) -> ConfigError:
    """Returns the error for an action space that is not a single discrete one.

    Args:
      uri: how messages call the environment.
      space: a Gymnasium space, or a dm_env spec or nest of them.
    """
    return ConfigError(
        f"environment {uri!r} has the action space {space!r}; distrl needs a single "
        f"discrete action with at most {MAX_ACTIONS} values. {_advise(space)} Write a "
        "factory that wraps the environment and maps 0 to n - 1 to its actions, and "
        "name it as package.module:factory; docs/environments.md has an example."
    )


def _advise(space: Any) -> str:
    """Returns what one can do about a space; Gymnasium's are known by their names."""
    kind = type(space).__name__
    dtype = getattr(space, "dtype", None)
    if isinstance(space, (dict, list, tuple)) or kind in ("Dict", "Tuple"):
        return (
            "This one is several actions at once. If one agent takes them, number "
            "each combination of them; if they are of several agents, train one and "
            "play the others' actions in the factory."
        )
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return (
            "This one is continuous: choose some of its values, for example a grid, "
            "and number them."
        )
    if kind == "MultiDiscrete":
        sizes = [int(size) for size in space.nvec.flat]
        return (
            f"This one is {len(sizes)} choices at once: number their combinations, "
            f"{' x '.join(map(str, sizes))} = {math.prod(sizes)}."
        )
    if getattr(space, "shape", None):
        return "This one is several choices at once: number their combinations."
    return "Choose those actions that matter, and number them."


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


def describe_stuck(call: str) -> str:
    """Returns what is wrong where a call leaves no legal action, for messages."""
    return (
        f"returned from {call} an {ACTION_MASK!r} that allows no action; it may be all "
        "zeros only where an episode terminates, not where it goes on or is truncated"
    )


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
