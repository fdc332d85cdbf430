"""Wrappers of environments: shifted actions, and the last action and reward."""

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.action_masks import join_mask, split_mask
from distrl.environments.batch import Batch, BatchStep
from distrl.environments.spec import count_actions
from distrl.environments.value_checks import read_number


class Wrapper(dm_env.Environment):
    """Forwards everything to another environment; subclasses change some of it."""

    def __init__(self, environment: dm_env.Environment):
        """Wraps `environment`."""
        self._environment = environment

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._environment.reset()

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        return self._environment.step(action)

    def observation_spec(self) -> Any:
        """Returns the nest of specs of an observation."""
        return self._environment.observation_spec()

    def action_spec(self) -> Any:
        """Returns the spec of an action."""
        return self._environment.action_spec()

    def reward_spec(self) -> Any:
        """Returns the spec of a reward."""
        return self._environment.reward_spec()

    def discount_spec(self) -> Any:
        """Returns the spec of a discount."""
        return self._environment.discount_spec()

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()


class ShiftedActions(Wrapper):
    """Shifts actions to begin at 0 instead of the minimum of their spec."""

    def __init__(self, environment: dm_env.Environment, num_actions: int):
        """Wraps `environment`, whose action spec is a scalar BoundedArray."""
        super().__init__(environment)
        self._minimum = environment.action_spec().minimum
        self._action_spec = specs.DiscreteArray(num_actions, np.int64, name="action")

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes the action `minimum + action`."""
        shifted = self._minimum.dtype.type(action + int(self._minimum))
        return self._environment.step(shifted)

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec


class LastActionReward(Wrapper):
    """Adds the last action and reward to the observation, for recurrent networks.

    The observation becomes a dict of the wrapped `observation`; `last_action`,
    `[A] float32`, one-hot; and `last_reward`, `[] float32`, not clipped. Both are zeros
    at the start of an episode. An action mask stays at the top of the nest.
    """

    def __init__(self, environment: dm_env.Environment, uri: str = "environment"):
        """Wraps `environment`, whose actions are 0 to A - 1; messages call it `uri`."""
        super().__init__(environment)
        self._num_actions = count_actions(environment.action_spec(), uri)

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._extend(self._environment.reset(), None)

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        return self._extend(self._environment.step(action), action)

    def observation_spec(self) -> dict[str, Any]:
        """Returns the specs of the dict."""
        return _extend_spec(self._environment.observation_spec(), self._num_actions)

    def _extend(self, timestep: dm_env.TimeStep, action: Any) -> dm_env.TimeStep:
        last_action = np.zeros(self._num_actions, np.float32)
        last_reward = np.float32(0.0)
        # step() may return the first step of an episode.
        if not timestep.first():
            last_action[action] = 1.0
            # The check of rewards reports values that are not numbers.
            last_reward = np.float32(read_number(timestep.reward) or 0.0)
        return timestep._replace(
            observation=_extend(timestep.observation, last_action, last_reward)
        )


class LastActionRewardBatch:
    """`LastActionReward` for a batch."""

    def __init__(self, batch: Batch):
        """Wraps `batch`."""
        self._batch = batch
        self._num_actions = batch.action_spec().num_values

    def __len__(self) -> int:
        """Returns E."""
        return len(self._batch)

    def reset(self) -> dict[str, Any]:
        """Starts an episode in each environment."""
        return self._begin(self._batch.reset(), len(self))

    def reset_some(self, indices: list[int]) -> dict[str, Any]:
        """Starts an episode in some environments."""
        return self._begin(self._batch.reset_some(indices), len(indices))

    def step(self, action: np.ndarray) -> BatchStep:
        """Takes an action in each environment."""
        step = self._batch.step(action)
        last_action = np.eye(self._num_actions, dtype=np.float32)[action]
        return step._replace(
            observation_t=_extend(step.observation_t, last_action, step.reward_t)
        )

    def observation_spec(self) -> dict[str, Any]:
        """Returns the specs of the dict."""
        return _extend_spec(self._batch.observation_spec(), self._num_actions)

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of the wrapped batch."""
        return self._batch.action_spec()

    def close(self) -> None:
        """Closes the wrapped batch."""
        self._batch.close()

    def _begin(self, observation: Any, count: int) -> dict[str, Any]:
        last_action = np.zeros((count, self._num_actions), np.float32)
        return _extend(observation, last_action, np.zeros(count, np.float32))


def _extend(observation: Any, last_action: Any, last_reward: Any) -> dict[str, Any]:
    seen, mask = split_mask(observation)
    parts = {
        "observation": seen,
        "last_action": last_action,
        "last_reward": last_reward,
    }
    return join_mask(parts, mask)


def _extend_spec(observation: Any, num_actions: int) -> dict[str, Any]:
    return _extend(
        observation,
        specs.BoundedArray((num_actions,), np.float32, 0.0, 1.0, name="last_action"),
        specs.Array((), np.float32, name="last_reward"),
    )
