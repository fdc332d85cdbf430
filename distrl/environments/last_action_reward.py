"""The last action and reward beside an observation, for networks with a memory."""

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.action_masks import join_mask, split_mask
from distrl.environments.actions import count_actions
from distrl.environments.batch import Batch, BatchStep
from distrl.environments.reading import read_number


class LastActionReward(dm_env.Environment):
    """An environment whose observation also says what was done and what it brought.

    It becomes a dict of `observation`, that of the wrapped environment;
    `last_action`, `[A] float32`, one-hot; and `last_reward`, `[] float32`, the
    environment's own, which no configuration clips. Where an episode begins the
    latter two are zeros; the final observation of an episode holds the last ones. An
    action mask stays at the top of the nest.
    """

    def __init__(self, environment: dm_env.Environment, uri: str = "environment"):
        """Wraps `environment`, whose actions are 0 to A - 1; messages call it `uri`."""
        self._environment = environment
        self._num_actions = count_actions(environment.action_spec(), uri)

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._extend(self._environment.reset(), None)

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        return self._extend(self._environment.step(action), action)

    def observation_spec(self) -> dict[str, Any]:
        """Returns the spec of the dict."""
        return _extend_spec(self._environment.observation_spec(), self._num_actions)

    def action_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.action_spec()

    def reward_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.reward_spec()

    def discount_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.discount_spec()

    def close(self) -> None:
        """Closes the wrapped environment."""
        self._environment.close()

    def _extend(self, timestep: dm_env.TimeStep, action: Any) -> dm_env.TimeStep:
        last_action = np.zeros(self._num_actions, np.float32)
        last_reward = np.float32(0.0)
        # An environment may answer step() with the first step of an episode.
        if not timestep.first():
            last_action[action] = 1.0
            # What is no number is left for the check of rewards to name.
            last_reward = np.float32(read_number(timestep.reward) or 0.0)
        return timestep._replace(
            observation=_extend(timestep.observation, last_action, last_reward)
        )


class LastActionRewardBatch:
    """A batch whose observations also say so, as those of `LastActionReward`."""

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
        """Returns the spec of the dict."""
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
