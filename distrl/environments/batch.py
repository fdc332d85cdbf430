"""Environments that their suite steps together in one call."""

import abc
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.environments.value_checks import read_discounts, read_leaves, read_rewards
from distrl.environments.vector import BatchStep, VectorEnvironment
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec


class Batch(Protocol):
    """E environments of one suite; never writes to an array that it has returned."""

    def __len__(self) -> int:
        """Returns E."""

    def reset(self, indices: list[int]) -> Any:
        """Starts an episode in K environments, at first all; a nest of `[K, ...]`."""

    def step(self, action: np.ndarray) -> BatchStep:
        """Takes `[E] int32` actions, 0 to n - 1; no episode may be over."""

    def observation_spec(self) -> Any:
        """Returns the nest of specs of one environment's observation."""

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""

    def close(self) -> None:
        """Releases the environments."""


class Pool(abc.ABC):
    """A `Batch` of a library with Gymnasium's vector interface.

    With `zero_on_life_loss` a lost life has discount 0 and the game, and its episode,
    continue, as in dqn_zoo.
    """

    def __init__(
        self, pool: Any, count: int, num_actions: int, zero_on_life_loss: bool
    ):
        """Wraps the `pool` of `count` environments."""
        self._pool = pool
        self._lives = np.zeros(count, np.int32)
        self._zero_on_life_loss = zero_on_life_loss
        self._action_spec = specs.DiscreteArray(num_actions, np.int64, name="action")
        self._observation_spec: Any = None
        self._is_image = True

    def __len__(self) -> int:
        """Returns E."""
        return len(self._lives)

    @abc.abstractmethod
    def reset(self, indices: list[int]) -> Any:
        """Starts an episode in K environments; returns a nest of `[K, ...]`."""

    def step(self, action: np.ndarray) -> BatchStep:
        """Takes an action in each environment."""
        observation, reward_t, terminated, truncated, info = self._pool.step(action)
        ends_return = terminated
        if self._zero_on_life_loss:
            ends_return = terminated | (info["lives"] < self._lives)
            self._lives[:] = info["lives"]
        return BatchStep(
            observation_t=self._order(observation),
            reward_t=reward_t,
            discount_t=1.0 - ends_return,
            last_t=terminated | truncated,
        )

    def observation_spec(self) -> Any:
        """Returns the nest of specs of one environment's observation."""
        return self._observation_spec

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def close(self) -> None:
        """Drops the pool, whose threads end once nothing refers to it."""
        self._pool = None

    def _order(self, observation: Any) -> Any:
        """Moves the channels of images, axis 1 of `[K, ...]`, behind their columns."""
        if not self._is_image:
            return observation
        images = np.ascontiguousarray(np.moveaxis(observation, 1, 3))
        return images.reshape(len(images), *self._observation_spec.shape)


class BatchEnvironment(VectorEnvironment):
    """Steps a batch; resets ended episodes at once, while the others wait."""

    def __init__(
        self, batch: Batch, spec: EnvironmentSpec, last_action_reward: bool = False
    ):
        """Takes ownership of `batch`; `spec` describes each of its environments."""
        super().__init__(len(batch), spec, batch.observation_spec(), last_action_reward)
        self._batch = batch

    def close(self) -> None:
        """Closes the batch."""
        self._batch.close()

    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        with _blaming(indices, "reset()"):
            observation = self._batch.reset(indices)
        return self._read(observation, indices, "reset()")

    def _step_all(self, action: np.ndarray, due: list[int]) -> BatchStep:
        everyone = range(len(self))
        with _blaming(everyone, f"step({action.tolist()})"):
            step = self._batch.step(action.astype(np.int32))
        return BatchStep(
            self._read(step.observation_t, everyone, "step()"),
            read_rewards(step.reward_t.tolist()),
            read_discounts(step.discount_t.tolist()),
            step.last_t,
        )

    def _read(
        self, observation: Any, indices: Sequence[int], call: str
    ) -> list[np.ndarray]:
        return read_leaves(
            self._leaves,
            lambda leaf: np.asarray(leaf.read(observation)),
            lambda k: _take(observation, k),
            indices,
            call,
        )


class OneOfBatch(dm_env.Environment):
    """A batch of one environment, as a dm_env environment."""

    def __init__(self, batch: Batch):
        """Takes ownership of `batch`."""
        self._batch = batch

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return dm_env.restart(_take(self._batch.reset([0]), 0))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action; call `reset` once the episode is over."""
        step = self._batch.step(np.array([action], np.int32))
        return dm_env.TimeStep(
            dm_env.StepType.LAST if step.last_t[0] else dm_env.StepType.MID,
            float(step.reward_t[0]),
            float(step.discount_t[0]),
            _take(step.observation_t, 0),
        )

    def observation_spec(self) -> Any:
        """Returns the nest of specs of the batch."""
        return self._batch.observation_spec()

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._batch.action_spec()

    def close(self) -> None:
        """Closes the batch."""
        self._batch.close()


def _take(nest: Any, index: int) -> Any:
    return tree.map_structure(lambda array: array[index], nest)


@contextlib.contextmanager
def _blaming(indices: Sequence[int], call: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        which = f"one of the environments {', '.join(map(str, indices))}"
        if len(indices) == 1:
            which = f"environment {indices[0]}"
        raise EnvironmentFault(
            f"{which} failed in {call}: {type(error).__name__}: {error}"
        ) from error
