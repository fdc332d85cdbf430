"""Environments that their suite steps together in one call."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.environments.value_checks import (
    make_leaves,
    read_discounts,
    read_leaves,
    read_rewards,
)
from distrl.environments.vector import RawStep, VectorEnvironment
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec


class BatchStep(NamedTuple):
    """One step of E environments.

    Attributes:
      observation_t: nest of `[E, ...]`; the final observation where the episode ended.
      reward_t: `[E]` numbers.
      discount_t: `[E]` numbers, 0 at a termination.
      last_t: `[E] bool`, whether the episode ended, by termination or truncation.
    """

    observation_t: Any
    reward_t: np.ndarray
    discount_t: np.ndarray
    last_t: np.ndarray


class Batch(Protocol):
    """E environments of one suite; never writes to an array that it has returned."""

    def __len__(self) -> int:
        """Returns E."""

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""

    def reset_some(self, indices: list[int]) -> Any:
        """Starts an episode in K environments; returns a nest of `[K, ...]`."""

    def step(self, action: np.ndarray) -> BatchStep:
        """Takes `[E] int32` actions, 0 to n - 1; no episode may be over."""

    def observation_spec(self) -> Any:
        """Returns the nest of specs of one environment's observation."""

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""

    def close(self) -> None:
        """Releases the environments."""


class BatchEnvironment(VectorEnvironment):
    """Steps a batch; resets ended episodes at once, while the others wait."""

    def __init__(self, batch: Batch, spec: EnvironmentSpec):
        """Takes ownership of `batch`; `spec` describes each of its environments."""
        super().__init__(len(batch), spec)
        self._batch = batch
        self._leaves = make_leaves(spec.observation, batch.observation_spec())

    def close(self) -> None:
        """Closes the batch."""
        self._batch.close()

    def _reset_all(self) -> list[np.ndarray]:
        everyone = range(len(self))
        try:
            observation = self._batch.reset()
        except Exception as error:
            raise _blame(everyone, "reset()", error) from error
        return self._read(observation, everyone, "reset()")

    def _step_all(self, action: np.ndarray, due: list[int]) -> RawStep:
        everyone = range(len(self))
        try:
            step = self._batch.step(action.astype(np.int32))
        except Exception as error:
            raise _blame(everyone, f"step({action.tolist()})", error) from error
        return RawStep(
            step.last_t.tolist(),
            read_rewards(step.reward_t.tolist()),
            read_discounts(step.discount_t.tolist()),
            self._read(step.observation_t, everyone, "step()"),
        )

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        try:
            observation = self._batch.reset_some(indices)
        except Exception as error:
            raise _blame(indices, "reset()", error) from error
        leaves = [array.copy() for array in leaves_t]
        firsts = self._read(observation, indices, "reset()")
        for leaf, first in zip(leaves, firsts, strict=True):
            leaf[indices] = first
        return leaves

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
        """Takes ownership of `batch`; raises ValueError unless its size is 1."""
        if len(batch) != 1:
            raise ValueError(f"expected a batch of 1, got one of {len(batch)}")
        self._batch = batch
        self._is_over = True

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        self._is_over = False
        return dm_env.restart(_take(self._batch.reset(), 0))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        if self._is_over:
            return self.reset()
        step = self._batch.step(np.array([action], np.int32))
        self._is_over = bool(step.last_t[0])
        return dm_env.TimeStep(
            dm_env.StepType.LAST if self._is_over else dm_env.StepType.MID,
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


def _blame(indices: Sequence[int], call: str, error: Exception) -> EnvironmentFault:
    which = f"one of the environments {', '.join(map(str, indices))}"
    if len(indices) == 1:
        which = f"environment {indices[0]}"
    return EnvironmentFault(
        f"{which} failed in {call}: {type(error).__name__}: {error}"
    )
