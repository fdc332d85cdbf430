"""E environments in lock-step: the interface, and stepping in this process."""

import abc
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.action_masks import ACTION_MASK, join_mask, split_mask
from distrl.environments.value_checks import (
    Leaf,
    check_time_step,
    make_leaves,
    read_discounts,
    read_leaves,
    read_rewards,
    refuse_stuck,
)
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec

_OBSERVATION = "observation"


class Episode(NamedTuple):
    """An episode that just ended.

    `episode_return` is the undiscounted sum of its rewards, `length` is in env steps,
    and `is_cut` tells whether the step limit ended it rather than the environment.
    """

    environment: int
    episode_return: float
    length: int
    is_cut: bool = False


class VectorStep(NamedTuple):
    """One step of E environments.

    Attributes:
      observation_t: nest of `[E, ...]`; the final observation where the episode ended.
      reward_t: `[E] float32`.
      discount_t: `[E] float32`, the environment's own: 0 at a termination.
      last_t: `[E] bool`, whether the episode ended, by termination or truncation.
      observation: nest of `[E, ...]` to act on next: where the episode ended, the first
        of the next one. The same object as `observation_t` if no episode ended.
      episodes: those that just ended.
    """

    observation_t: Any
    reward_t: np.ndarray
    discount_t: np.ndarray
    last_t: np.ndarray
    observation: Any
    episodes: list[Episode]


class BatchStep(NamedTuple):
    """One step of E environments before resets.

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


class VectorEnvironment(abc.ABC):
    """E environments in lock-step; the end of an episode costs no policy step.

    Returned arrays are never written to again, match the spec and contain no NaN: an
    environment that breaks these rules raises EnvironmentFault. Subclasses define how
    environments are stepped and reset.
    """

    def __init__(
        self,
        count: int,
        spec: EnvironmentSpec,
        own: Any = None,
        last_action_reward: bool = False,
    ):
        """Takes E and the spec of each environment.

        `own` is the nest of specs that the environments themselves declare. With
        `last_action_reward` the spec is one that `add_last_action_reward` returned.
        """
        self._eye: np.ndarray | None = None
        self._structure = spec.observation
        if last_action_reward:
            self._eye = np.eye(spec.num_actions, dtype=np.float32)
            seen, mask = split_mask(spec.observation)
            self._structure = join_mask(seen[_OBSERVATION], mask)
        self._leaves = make_leaves(self._structure, own)
        paths = [leaf.path for leaf in self._leaves]
        self._is_bare = paths == [()]
        mask_path = (ACTION_MASK,)
        self._mask = paths.index(mask_path) if mask_path in paths else None
        self._returns = np.zeros(count)  # [E] float64
        self._count = 0
        self._begins = [0] * count

    def __len__(self) -> int:
        """Returns E."""
        return len(self._begins)

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""
        leaves = self._reset_some(list(range(len(self))))
        everyone = np.ones(len(self), bool)
        self._require_legal(leaves, everyone)
        self._returns[:] = 0.0
        self._begins = [self._count] * len(self)
        nothing = np.zeros(len(self), np.float32)
        return self._pack(leaves, nothing.astype(int), nothing, everyone)

    def step(self, action: np.ndarray, limit: int | None = None) -> VectorStep:
        """Takes `[E]` integer actions, and resets the environments whose episode ended.

        Episodes are truncated after `limit` steps; None for no limit.
        """
        due = self._list_due(limit)
        leaves_t, rewards, discount_t, last_t = self._step_all(action, due)
        cut = [index for index in due if not last_t[index]]
        if cut:
            last_t = last_t.copy()
            last_t[cut] = True
        if self._mask is not None:
            # After a termination no action is chosen or bootstrapped from.
            self._require_legal(leaves_t, ~last_t | (discount_t > 0), action)
        self._count += 1
        self._returns += rewards
        reward_t = rewards.astype(np.float32)
        observation_t = observation = self._pack(leaves_t, action, reward_t)
        episodes: list[Episode] = []
        if last_t.any():
            ended = np.flatnonzero(last_t).tolist()
            episodes = [self._end_episode(index, index in cut) for index in ended]
            leaves = [array.copy() for array in leaves_t]
            for array, first in zip(leaves, self._reset_some(ended), strict=True):
                array[ended] = first
            self._require_legal(leaves, last_t)
            observation = self._pack(leaves, action, reward_t, last_t)
        return VectorStep(
            observation_t, reward_t, discount_t, last_t, observation, episodes
        )

    @abc.abstractmethod
    def close(self) -> None:
        """Closes all environments, then raises the first error."""

    @abc.abstractmethod
    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        """Starts an episode in K environments; returns `[K, ...]` for each leaf."""

    @abc.abstractmethod
    def _step_all(self, action: np.ndarray, due: list[int]) -> BatchStep:
        """Takes `[E]` actions; the episodes in `due` end with this step in any case.

        The step's observation is a list of `[E, ...]`, one for each leaf.
        """

    def _list_due(self, limit: int | None) -> list[int]:
        """Returns the environments for which the next step reaches `limit`."""
        if limit is None:
            return []
        begin = self._count + 1 - limit
        return [index for index, begun in enumerate(self._begins) if begun <= begin]

    def _require_legal(
        self,
        leaves: list[np.ndarray],
        rows: np.ndarray,
        action: np.ndarray | None = None,
    ) -> None:
        """Checks that masks allow an action where `rows`, `[E] bool`, is True.

        `action` holds the `[E]` actions of the last step; None after a reset.
        """
        if self._mask is None:
            return
        stuck = rows & ~leaves[self._mask].any(axis=1)
        if stuck.any():
            index = int(stuck.argmax())
            call = "reset()" if action is None else f"step({action[index]})"
            raise refuse_stuck(index, call)

    def _end_episode(self, index: int, is_cut: bool) -> Episode:
        length = self._count - self._begins[index]
        episode = Episode(index, float(self._returns[index]), length, is_cut)
        self._returns[index] = 0.0
        self._begins[index] = self._count
        return episode

    def _pack(
        self,
        leaves: list[np.ndarray],
        action: np.ndarray,
        reward_t: np.ndarray,
        first: np.ndarray | None = None,
    ) -> Any:
        """Returns the observation; `first`, `[E] bool`, marks the first of episodes."""
        observation = leaves[0]
        if not self._is_bare:
            observation = tree.unflatten_as(self._structure, leaves)
        if self._eye is None:
            return observation
        last_action = self._eye[action]
        if first is not None:
            last_action[first] = 0.0
            reward_t = np.where(first, np.float32(0.0), reward_t)
        return _extend(observation, last_action, reward_t)


class SyncEnvironment(VectorEnvironment):
    """Environments stepped in this process, one after the other."""

    def __init__(
        self,
        environments: Sequence[dm_env.Environment],
        spec: EnvironmentSpec,
        last_action_reward: bool = False,
        first: int = 0,
    ):
        """Takes ownership of the environments; messages number them from `first`."""
        own = environments[0].observation_spec()
        super().__init__(len(environments), spec, own, last_action_reward)
        self._environments = tuple(environments)
        self._numbers = range(first, first + len(environments))
        self._steps = [environment.step for environment in environments]
        action_spec = environments[0].action_spec()
        self._action_dtype = action_spec.dtype
        self._least_action = int(action_spec.minimum)

    def close(self) -> None:
        """Closes all environments, then raises the first error."""
        with contextlib.ExitStack() as stack:
            for environment in self._environments:
                stack.callback(environment.close)

    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        observations = []
        for index in indices:
            try:
                timestep = self._environments[index].reset()
            except Exception as error:
                raise self._blame(index, "reset()", error) from error
            check_time_step(timestep, self._numbers[index], "reset()")
            observations.append(timestep.observation)
        return self._read(observations, "reset()", indices)

    def _step_all(self, action: np.ndarray, due: list[int]) -> BatchStep:
        timesteps = self._step_each(self._unpack_actions(action))
        step_types, rewards, discounts, observations = zip(*timesteps, strict=True)
        return BatchStep(
            self._read(observations, "step()", range(len(self))),
            read_rewards(rewards, self._numbers[0]),
            read_discounts(discounts, self._numbers[0]),
            np.array([kind == dm_env.StepType.LAST for kind in step_types]),
        )

    def _step_each(self, actions: list[Any]) -> list[dm_env.TimeStep]:
        timesteps: list[dm_env.TimeStep] = []
        try:
            for step, action in zip(self._steps, actions, strict=True):
                timesteps.append(step(action))
        except Exception as error:
            index = len(timesteps)
            raise self._blame(index, f"step({actions[index]})", error) from error
        for number, timestep in zip(self._numbers, timesteps, strict=True):
            check_time_step(timestep, number, "step()")
        return timesteps

    def _unpack_actions(self, action: np.ndarray) -> list[Any]:
        if self._least_action:
            action = action.astype(np.int64) + self._least_action
        if self._action_dtype == np.int64:
            return action.tolist()  # Python's integers become int64, and are faster
        return list(action.astype(self._action_dtype))

    def _read(
        self, observations: Sequence[Any], call: str, indices: Sequence[int]
    ) -> list[np.ndarray]:
        """Returns `[K, ...]` for each leaf."""

        def stack(leaf: Leaf) -> np.ndarray:
            # Unlike an assignment, this never broadcasts or casts.
            if self._is_bare:
                return np.array(observations)
            return np.array([leaf.read(observation) for observation in observations])

        numbers = [self._numbers[index] for index in indices]
        return read_leaves(self._leaves, stack, observations.__getitem__, numbers, call)

    def _blame(self, index: int, call: str, error: Exception) -> EnvironmentFault:
        name = f"environment {self._numbers[index]}"
        if isinstance(error, EnvironmentFault):  # An adapter found it.
            return EnvironmentFault(f"{name} {error}")
        return EnvironmentFault(
            f"{name} failed in {call}: {type(error).__name__}: {error}"
        )


def add_last_action_reward(spec: EnvironmentSpec) -> EnvironmentSpec:
    """Returns the spec with the last action and reward in the observation.

    The observation becomes a dict of the environment's own `observation`;
    `last_action`, `[A] float32`, one-hot; and `last_reward`, `[] float32`, not clipped.
    Both are zeros at the start of an episode. A mask stays at the top of the nest.
    """
    size = spec.num_actions
    last_action = specs.BoundedArray((size,), np.float32, 0.0, 1.0, name="last_action")
    last_reward = specs.Array((), np.float32, name="last_reward")
    return EnvironmentSpec(_extend(spec.observation, last_action, last_reward), size)


def _extend(observation: Any, last_action: Any, last_reward: Any) -> dict[str, Any]:
    seen, mask = split_mask(observation)
    parts = {
        _OBSERVATION: seen,
        "last_action": last_action,
        "last_reward": last_reward,
    }
    extended: dict[str, Any] = join_mask(parts, mask)
    return extended
