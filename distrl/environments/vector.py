"""Many environments stepped in lock-step, with automatic resets."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np
import tree

from distrl.action_masks import ACTION_MASK
from distrl.environments.actions import describe_stuck
from distrl.environments.reading import (
    MISFITS,
    find_leaves,
    read_array,
    read_discounts,
    read_rewards,
    show,
)
from distrl.errors import EnvironmentFault
from distrl.types import EnvironmentSpec

# In the order of how often they come: an actor looks at each step.
_STEP_TYPES = (dm_env.StepType.MID, dm_env.StepType.LAST, dm_env.StepType.FIRST)


class Episode(NamedTuple):
    """An episode that just ended.

    Attributes:
      environment: its index.
      episode_return: the undiscounted sum of its rewards.
      length: the number of its steps.
      is_cut: whether the step limit ended it, rather than the environment.
    """

    environment: int
    episode_return: float
    length: int
    is_cut: bool = False


class VectorStep(NamedTuple):
    """One step of E environments.

    Attributes:
      observation_t: nest of `[E, ...]`; the final one where the episode ended.
      reward_t: `[E] float32`.
      discount_t: `[E] float32`, the environment's own: 0 at a termination.
      last_t: `[E] bool`, whether the episode ended, by termination or truncation.
      observation: nest of `[E, ...]`, the one to act on next: where the episode
        ended, the first of the next one. It is `observation_t` where none ended.
      episodes: those that just ended.
    """

    observation_t: Any
    reward_t: np.ndarray
    discount_t: np.ndarray
    last_t: np.ndarray
    observation: Any
    episodes: list[Episode]


class VectorEnvironment:
    """E environments in lock-step; an episode's end costs no policy step.

    Arrays that it returns are fresh: it never writes to them again. They hold what
    the spec allows, and no NaN; whatever else an environment does is an
    `EnvironmentFault` that names it.
    """

    def __init__(
        self,
        environments: Sequence[dm_env.Environment],
        spec: EnvironmentSpec,
        first: int = 0,
    ):
        """Takes the environments over; `close` closes them.

        Args:
          environments: at least one, with actions 0 to n - 1, as `make_environment`
            returns them.
          spec: the spec that `make_spec` gives for each of them.
          first: the index by which messages call the first of them.
        """
        if not environments:
            raise ValueError("a VectorEnvironment needs at least one environment")
        self._environments = tuple(environments)
        self._steps = [environment.step for environment in environments]
        self._action_dtype = environments[0].action_spec().dtype
        self._begin(len(environments), spec, first)

    def _begin(self, count: int, spec: EnvironmentSpec, first: int = 0) -> None:
        self._first = first
        self._structure = spec.observation
        self._leaves = find_leaves(spec.observation)
        self._is_bare = self._leaves[0].path == ()
        paths = [leaf.path for leaf in self._leaves]
        mask = (ACTION_MASK,)
        self._mask = paths.index(mask) if mask in paths else None
        self._returns = np.zeros(count)  # [E] float64
        self._count = 0
        self._begins = [0] * count

    def __len__(self) -> int:
        """Returns E, the number of environments."""
        return len(self._begins)

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`.

        Raises:
          EnvironmentFault: an environment fails, or does not fit the spec.
        """
        leaves = self._reset_all()
        if self._mask is not None:
            self._require_legal(leaves[self._mask], np.ones(len(self), bool))
        self._returns[:] = 0.0
        self._begins = [self._count] * len(self)
        return self._pack(leaves)

    def step(self, action: Any, limit: int | None = None) -> VectorStep:
        """Takes an action in each environment, and resets those whose episode ended.

        Args:
          action: `[E]` integers.
          limit: an episode of so many steps is cut off; None lets it run.

        Raises:
          EnvironmentFault: an environment fails, or does not fit the spec.
          ValueError: the actions are not E integers.
        """
        action = np.asarray(action)
        if action.shape != (len(self),) or action.dtype.kind not in "iu":
            raise ValueError(
                f"expected the actions as {len(self)} integers, got the shape "
                f"{action.shape} of {action.dtype}"
            )
        due = self._find_due(limit)
        last, reward_t, discount_t, leaves_t = self._step_all(action, due)
        cut = [index for index in due if not last[index]]
        for index in cut:
            last[index] = True
        if self._mask is not None:
            # Where an episode terminates, nothing is chosen and nothing bootstraps.
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

    def close(self) -> None:
        """Closes all environments, then raises the first error that one raised."""
        errors = []
        for environment in self._environments:
            try:
                environment.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _reset_all(self) -> list[np.ndarray]:
        """Returns the first observations, an array `[E, ...]` for each leaf."""
        timesteps = [self._reset_one(index) for index in range(len(self))]
        # Only after a reset does a Gymnasium environment know of a mask in `info`.
        own = self._environments[0].observation_spec()
        self._leaves = find_leaves(self._structure, own)
        return self._read_all([t.observation for t in timesteps], "reset()")

    def _find_due(self, limit: int | None) -> list[int]:
        """Returns the environments whose next step is the last that `limit` allows."""
        if limit is None:
            return []
        begin = self._count + 1 - limit
        return [index for index, begun in enumerate(self._begins) if begun <= begin]

    def _step_all(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray, list[np.ndarray]]:
        """Takes a step.

        Args:
          action: `[E]` integers.
          due: the environments whose episode ends with this step in any case.

        Returns:
          What ended by itself, rewards as float64, discounts, and the observations.
        """
        timesteps = self._step_each(self._unpack_actions(action))
        step_types, rewards, discounts, observations = zip(*timesteps, strict=True)
        last = [step_type == dm_env.StepType.LAST for step_type in step_types]
        reward_t = read_rewards(rewards, self._first)
        discount_t = read_discounts(discounts, self._first)
        return last, reward_t, discount_t, self._gather(observations)

    def _step_each(self, actions: list[Any]) -> list[dm_env.TimeStep]:
        timesteps: list[dm_env.TimeStep] = []
        try:
            for step, action in zip(self._steps, actions, strict=True):
                timesteps.append(step(action))
        except Exception as error:
            call = f"step({actions[len(timesteps)]})"
            raise _blame(self._first + len(timesteps), call, error) from error
        for index, timestep in enumerate(timesteps, self._first):
            _check_time_step(timestep, index, "step()")
            if timestep.step_type == dm_env.StepType.FIRST:
                raise EnvironmentFault(
                    f"environment {index} answered step() with a first time step; an "
                    "episode has to end with a last one, and reset() has to be called "
                    "before step()"
                )
        return timesteps

    def _require_legal(
        self, mask: np.ndarray, rows: np.ndarray, action: np.ndarray | None = None
    ) -> None:
        """Checks that masks allow an action.

        Args:
          mask: `[E, A]`, 1 for the legal actions.
          rows: `[E] bool`, the environments in which they have to.
          action: `[E]`, what they were stepped with; None after a reset.
        """
        stuck = rows & ~mask.any(axis=1)
        if stuck.any():
            index = int(stuck.argmax())
            call = "reset()" if action is None else f"step({action[index]})"
            raise EnvironmentFault(
                f"environment {self._first + index} {describe_stuck(call)}"
            )

    def _reset_one(self, index: int) -> dm_env.TimeStep:
        try:
            timestep = self._environments[index].reset()
        except Exception as error:
            raise _blame(self._first + index, "reset()", error) from error
        _check_time_step(timestep, self._first + index, "reset()")
        return timestep

    def _unpack_actions(self, action: np.ndarray) -> list[Any]:
        if self._action_dtype == np.int64:
            return action.tolist()  # Python's integers are int64, and faster
        return list(action.astype(self._action_dtype))

    def _end_episode(self, index: int, is_cut: bool) -> Episode:
        length = self._count - self._begins[index]
        episode = Episode(index, float(self._returns[index]), length, is_cut)
        self._returns[index] = 0.0
        self._begins[index] = self._count
        return episode

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the observations to act on next: copies, new where one ended."""
        leaves = [array.copy() for array in leaves_t]
        for index in indices:
            observation = self._reset_one(index).observation
            for leaf, array in zip(self._leaves, leaves, strict=True):
                array[index] = read_array(
                    leaf, observation, self._first + index, "reset()"
                )
        return leaves

    def _gather(self, observations: Sequence[Any]) -> list[np.ndarray]:
        """Returns an array `[E, ...]` for each leaf, from E observations."""
        arrays = []
        for leaf in self._leaves:
            try:
                values = (
                    observations
                    if self._is_bare
                    else [leaf.read(observation) for observation in observations]
                )
                # Unlike an assignment, this never broadcasts. It keeps the dtype that
                # they have, so that no cast hides what they are.
                array = leaf.convert(np.array(values), len(observations))
            except MISFITS:
                array = None
            if array is None:
                # Says which one is to blame, if one is.
                return self._read_all(observations, "step()")
            arrays.append(array)
        return arrays

    def _read_all(self, observations: Sequence[Any], call: str) -> list[np.ndarray]:
        """Does what `_gather` does, more slowly, and checks each array."""
        numbered = list(enumerate(observations, self._first))
        return [
            np.stack([read_array(leaf, o, index, call) for index, o in numbered])
            for leaf in self._leaves
        ]

    def _pack(self, leaves: list[np.ndarray]) -> Any:
        return (
            leaves[0] if self._is_bare else tree.unflatten_as(self._structure, leaves)
        )


def _check_time_step(timestep: Any, index: int, call: str) -> None:
    if not isinstance(timestep, dm_env.TimeStep):
        raise EnvironmentFault(
            f"environment {index} returned {show(timestep)} from {call}; expected a "
            "dm_env.TimeStep"
        )
    if timestep.step_type not in _STEP_TYPES:
        raise EnvironmentFault(
            f"environment {index} returned the step type {show(timestep.step_type)} "
            f"from {call}; expected one of dm_env.StepType"
        )


def _blame(index: int, call: str, error: Exception) -> EnvironmentFault:
    if isinstance(error, EnvironmentFault):  # An adapter found it.
        return EnvironmentFault(f"environment {index} {error}")
    return EnvironmentFault(
        f"environment {index} failed in {call}: {type(error).__name__}: {error}"
    )
