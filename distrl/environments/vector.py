"""E environments in lock-step: the interface, and stepping in this process."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np
import tree

from distrl.action_masks import ACTION_MASK
from distrl.environments.value_checks import (
    Leaf,
    check_time_step,
    make_leaves,
    read_discounts,
    read_leaves,
    read_rewards,
    refuse_first_step,
    refuse_stuck,
)
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec


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


class RawStep(NamedTuple):
    """A step before episodes are counted: `[E]` values, `[E, ...]` for each leaf."""

    last: list[bool]
    reward_t: np.ndarray
    discount_t: np.ndarray
    leaves_t: list[np.ndarray]


class VectorEnvironment(abc.ABC):
    """E environments in lock-step; the end of an episode costs no policy step.

    Returned arrays are never written to again, match the spec and contain no NaN: an
    environment that breaks these rules raises EnvironmentFault. Subclasses define how
    environments are stepped and reset.
    """

    def __init__(self, count: int, spec: EnvironmentSpec):
        """Takes E and the spec of each environment."""
        self._structure = spec.observation
        self._leaves = make_leaves(spec.observation)
        self._is_bare = self._leaves[0].path == ()
        paths = [leaf.path for leaf in self._leaves]
        mask = (ACTION_MASK,)
        self._mask = paths.index(mask) if mask in paths else None
        self._returns = np.zeros(count)  # [E] float64
        self._count = 0
        self._begins = [0] * count

    def __len__(self) -> int:
        """Returns E."""
        return len(self._begins)

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""
        leaves = self._reset_all()
        if self._mask is not None:
            self._require_legal(leaves[self._mask], np.ones(len(self), bool))
        self._returns[:] = 0.0
        self._begins = [self._count] * len(self)
        return self._pack(leaves)

    def step(self, action: Any, limit: int | None = None) -> VectorStep:
        """Takes `[E]` integer actions, and resets the environments whose episode ended.

        Episodes are truncated after `limit` steps; None for no limit.
        """
        action = np.asarray(action)
        if action.shape != (len(self),) or action.dtype.kind not in "iu":
            raise ValueError(
                f"expected the actions as {len(self)} integers, got the shape "
                f"{action.shape} of {action.dtype}"
            )
        due = self._list_due(limit)
        last, reward_t, discount_t, leaves_t = self._step_all(action, due)
        cut = [index for index in due if not last[index]]
        for index in cut:
            last[index] = True
        if self._mask is not None:
            # After a termination no action is chosen or bootstrapped from.
            continues = ~np.array(last) | (discount_t > 0)
            self._require_legal(leaves_t[self._mask], continues, action)
        self._count += 1
        self._returns += reward_t
        observation_t = observation = self._pack(leaves_t)
        episodes: list[Episode] = []
        if True in last:
            ended = [index for index, is_last in enumerate(last) if is_last]
            episodes = [self._end_episode(index, index in cut) for index in ended]
            leaves = self._reset_some(ended, leaves_t)
            if self._mask is not None:
                self._require_legal(leaves[self._mask], np.array(last))
            observation = self._pack(leaves)
        return VectorStep(
            observation_t=observation_t,
            reward_t=reward_t.astype(np.float32),
            discount_t=discount_t,
            last_t=np.array(last),
            observation=observation,
            episodes=episodes,
        )

    @abc.abstractmethod
    def close(self) -> None:
        """Closes all environments, then raises the first error."""

    @abc.abstractmethod
    def _reset_all(self) -> list[np.ndarray]:
        """Returns the first observations, `[E, ...]` for each leaf."""

    @abc.abstractmethod
    def _step_all(self, action: np.ndarray, due: list[int]) -> RawStep:
        """Takes `[E]` actions; the episodes in `due` end with this step in any case."""

    @abc.abstractmethod
    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Starts episodes; returns copies of `leaves_t` with the first observations."""

    def _list_due(self, limit: int | None) -> list[int]:
        """Returns the environments for which the next step reaches `limit`."""
        if limit is None:
            return []
        begin = self._count + 1 - limit
        return [index for index, begun in enumerate(self._begins) if begun <= begin]

    def _require_legal(
        self, mask: np.ndarray, rows: np.ndarray, action: np.ndarray | None = None
    ) -> None:
        """Checks that masks `[E, A]` allow an action where `rows`, `[E] bool`, is True.

        `action` holds the `[E]` actions of the last step; None after a reset.
        """
        stuck = rows & ~mask.any(axis=1)
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

    def _pack(self, leaves: list[np.ndarray]) -> Any:
        if self._is_bare:
            return leaves[0]
        return tree.unflatten_as(self._structure, leaves)


class SyncEnvironment(VectorEnvironment):
    """Environments stepped in this process, one after the other."""

    def __init__(
        self,
        environments: Sequence[dm_env.Environment],
        spec: EnvironmentSpec,
        first: int = 0,
    ):
        """Takes ownership of the environments; messages number them from `first`."""
        if not environments:
            raise ValueError("a SyncEnvironment needs at least one environment")
        super().__init__(len(environments), spec)
        self._environments = tuple(environments)
        self._numbers = range(first, first + len(environments))
        self._steps = [environment.step for environment in environments]
        self._action_dtype = environments[0].action_spec().dtype

    def close(self) -> None:
        """Closes all environments, then raises the first error."""
        errors = []
        for environment in self._environments:
            try:
                environment.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _reset_all(self) -> list[np.ndarray]:
        observations = [self._reset_one(index) for index in range(len(self))]
        # A Gymnasium environment shows a mask in `info` only at a reset.
        own = self._environments[0].observation_spec()
        self._leaves = make_leaves(self._structure, own)
        return self._read(observations, "reset()")

    def _step_all(self, action: np.ndarray, due: list[int]) -> RawStep:
        timesteps = self._step_each(self._unpack_actions(action))
        step_types, rewards, discounts, observations = zip(*timesteps, strict=True)
        return RawStep(
            [step_type == dm_env.StepType.LAST for step_type in step_types],
            read_rewards(rewards, self._numbers[0]),
            read_discounts(discounts, self._numbers[0]),
            self._read(observations, "step()"),
        )

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        leaves = [array.copy() for array in leaves_t]
        for index in indices:
            observation = self._reset_one(index)
            first = self._read([observation], "reset()", index)
            for array, value in zip(leaves, first, strict=True):
                array[index] = value[0]
        return leaves

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
            if timestep.step_type == dm_env.StepType.FIRST:
                raise refuse_first_step(number)
        return timesteps

    def _reset_one(self, index: int) -> Any:
        try:
            timestep = self._environments[index].reset()
        except Exception as error:
            raise self._blame(index, "reset()", error) from error
        check_time_step(timestep, self._numbers[index], "reset()")
        return timestep.observation

    def _unpack_actions(self, action: np.ndarray) -> list[Any]:
        if self._action_dtype == np.int64:
            return action.tolist()  # Python's integers become int64, and are faster
        return list(action.astype(self._action_dtype))

    def _read(
        self, observations: Sequence[Any], call: str, first: int = 0
    ) -> list[np.ndarray]:
        """Returns `[K, ...]` for each leaf, of the environments from `first`."""

        def stack(leaf: Leaf) -> np.ndarray:
            # Unlike an assignment, this never broadcasts or casts.
            if self._is_bare:
                return np.array(observations)
            return np.array([leaf.read(observation) for observation in observations])

        numbers = self._numbers[first : first + len(observations)]
        return read_leaves(self._leaves, stack, observations.__getitem__, numbers, call)

    def _blame(self, index: int, call: str, error: Exception) -> EnvironmentFault:
        name = f"environment {self._numbers[index]}"
        if isinstance(error, EnvironmentFault):  # An adapter found it.
            return EnvironmentFault(f"{name} {error}")
        return EnvironmentFault(
            f"{name} failed in {call}: {type(error).__name__}: {error}"
        )
