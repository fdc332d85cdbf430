"""Environments that one call steps together: those of a suite that does so itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.environments.reading import (
    MISFITS,
    Leaf,
    find_leaves,
    read_array,
    read_discounts,
    read_rewards,
)
from distrl.environments.vector import VectorEnvironment
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec


class BatchStep(NamedTuple):
    """One step of E environments.

    Attributes:
      observation_t: nest of `[E, ...]`; the final one where the episode ended.
      reward_t: `[E]` numbers.
      discount_t: `[E]` numbers, 0 at a termination.
      last_t: `[E] bool`, whether the episode ended, by termination or truncation.
    """

    observation_t: Any
    reward_t: np.ndarray
    discount_t: np.ndarray
    last_t: np.ndarray


class Batch(Protocol):
    """E environments of one suite. It never writes to an array that it returned."""

    def __len__(self) -> int:
        """Returns E."""

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""

    def reset_some(self, indices: list[int]) -> Any:
        """Starts an episode in K environments; returns a nest of `[K, ...]`."""

    def step(self, action: np.ndarray) -> BatchStep:
        """Takes `[E] int32` actions, 0 to n - 1; none of the episodes is over."""

    def observation_spec(self) -> Any:
        """Returns the nest of specs of one environment's observation."""

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""

    def close(self) -> None:
        """Ends what steps the environments."""


class BatchEnvironment(VectorEnvironment):
    """A batch, with what a `VectorEnvironment` promises.

    Where episodes ended those environments are reset at once, while the others wait.
    """

    def __init__(self, batch: Batch, spec: EnvironmentSpec):
        """Takes the batch over; `spec` is that of each of its environments."""
        self._batch = batch
        self._begin(len(batch), spec)
        self._leaves = find_leaves(spec.observation, batch.observation_spec())

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

    def _step_all(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray, list[np.ndarray]]:
        everyone = range(len(self))
        try:
            step = self._batch.step(action.astype(np.int32))
        except Exception as error:
            raise _blame(everyone, f"step({action.tolist()})", error) from error
        reward_t = read_rewards(step.reward_t.tolist())
        discount_t = read_discounts(step.discount_t.tolist())
        leaves_t = self._read(step.observation_t, everyone, "step()")
        return step.last_t.tolist(), reward_t, discount_t, leaves_t

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
        return [_read_leaf(leaf, observation, indices, call) for leaf in self._leaves]


class OneOfBatch(dm_env.Environment):
    """A batch of one as a dm_env environment."""

    def __init__(self, batch: Batch):
        """Takes the batch over.

        Raises:
          ValueError: it has more environments than one.
        """
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


def _read_leaf(
    leaf: Leaf, observation: Any, indices: Sequence[int], call: str
) -> np.ndarray:
    """Returns `[K, ...]` of the environments `indices`, as `reading` wants it."""
    try:
        array = leaf.convert(np.asarray(leaf.read(observation)), len(indices))
    except MISFITS:
        array = None
    if array is not None:
        return array
    return np.stack(  # says which environment is to blame
        [
            read_array(leaf, _take(observation, k), i, call)
            for k, i in enumerate(indices)
        ]
    )


def _take(nest: Any, index: int) -> Any:
    return tree.map_structure(lambda array: array[index], nest)


def _blame(indices: Sequence[int], call: str, error: Exception) -> EnvironmentFault:
    which = f"one of the environments {', '.join(map(str, indices))}"
    if len(indices) == 1:
        which = f"environment {indices[0]}"
    return EnvironmentFault(
        f"{which} failed in {call}: {type(error).__name__}: {error}"
    )
