"""Many environments stepped in lock-step, with automatic resets."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import dm_env
import numpy as np
import tree

from distrl.types import EnvironmentSpec

_MISFITS = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)


class Episode(NamedTuple):
    """An episode that just ended.

    Attributes:
      environment: its index.
      episode_return: the undiscounted sum of its rewards.
      length: the number of its steps.
    """

    environment: int
    episode_return: float
    length: int


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


class _Leaf(NamedTuple):
    """An array of the observation nest: where it is, and what it has to be."""

    path: tuple[Any, ...]
    read: Callable[[Any], Any]
    shape: tuple[int, ...]
    dtype: np.dtype


class VectorEnvironment:
    """E environments in lock-step; an episode's end costs no policy step.

    Arrays that it returns are fresh: it never writes to them again.
    """

    def __init__(
        self, environments: Sequence[dm_env.Environment], spec: EnvironmentSpec
    ):
        """Takes the environments over; `close` closes them.

        Args:
          environments: at least one, with actions 0 to n - 1, as `make_environment`
            returns them.
          spec: the spec that `make_spec` gives for each of them.
        """
        if not environments:
            raise ValueError("a VectorEnvironment needs at least one environment")
        self._environments = tuple(environments)
        self._steps = [environment.step for environment in environments]
        self._structure = spec.observation
        self._leaves = _find_leaves(spec.observation)
        self._is_bare = self._leaves[0].path == ()
        self._action_dtype = environments[0].action_spec().dtype
        self._returns = np.zeros(len(environments))  # [E] float64
        self._count = 0
        self._begins = [0] * len(environments)

    def __len__(self) -> int:
        """Returns E, the number of environments."""
        return len(self._environments)

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""
        timesteps = [environment.reset() for environment in self._environments]
        self._returns[:] = 0.0
        self._begins = [self._count] * len(self)
        return self._pack(self._read_all([t.observation for t in timesteps]))

    def step(self, action: Any) -> VectorStep:
        """Takes an action in each environment, and resets those whose episode ended.

        Args:
          action: `[E]` integers.

        Raises:
          ValueError: when what an environment returns does not fit the spec.
        """
        actions = self._unpack_actions(action)
        timesteps = [step(a) for step, a in zip(self._steps, actions, strict=True)]
        self._count += 1
        step_types, rewards, discounts, observations = zip(*timesteps, strict=True)
        if dm_env.StepType.FIRST in step_types:
            _refuse_first(step_types.index(dm_env.StepType.FIRST))
        last = [step_type == dm_env.StepType.LAST for step_type in step_types]
        reward_t = _read_numbers(rewards, "reward")
        discount_t = _read_numbers(
            [1.0 if discount is None else discount for discount in discounts],
            "discount",
        )
        self._returns += reward_t
        leaves_t = self._gather(observations)
        observation_t = observation = self._pack(leaves_t)
        episodes: list[Episode] = []
        if True in last:
            ended = [index for index, is_last in enumerate(last) if is_last]
            episodes = [self._end_episode(index) for index in ended]
            observation = self._pack(self._reset_some(ended, leaves_t))
        return VectorStep(
            observation_t=observation_t,
            reward_t=reward_t.astype(np.float32),
            discount_t=discount_t.astype(np.float32),
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

    def _unpack_actions(self, action: Any) -> list[Any]:
        action = np.asarray(action)
        if action.shape != (len(self),) or action.dtype.kind not in "iu":
            raise ValueError(
                f"expected the actions as {len(self)} integers, got the shape "
                f"{action.shape} of {action.dtype}"
            )
        if self._action_dtype == np.int64:
            return action.tolist()  # Python's integers are int64, and faster
        return list(action.astype(self._action_dtype))

    def _end_episode(self, index: int) -> Episode:
        length = self._count - self._begins[index]
        episode = Episode(index, float(self._returns[index]), length)
        self._returns[index] = 0.0
        self._begins[index] = self._count
        return episode

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        leaves = [array.copy() for array in leaves_t]
        for index in indices:
            observation = self._environments[index].reset().observation
            for leaf, array in zip(self._leaves, leaves, strict=True):
                array[index] = _read_array(leaf, observation, index)
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
                # Unlike an assignment, this never broadcasts.
                array = np.array(values, leaf.dtype)
                fits = array.shape == (len(observations), *leaf.shape)
            except _MISFITS:
                fits = False
            if not fits:
                return self._read_all(observations)  # says which one is to blame
            arrays.append(array)
        return arrays

    def _read_all(self, observations: Sequence[Any]) -> list[np.ndarray]:
        """Does what `_gather` does, more slowly, and checks each array."""
        return [
            np.stack([_read_array(leaf, o, i) for i, o in enumerate(observations)])
            for leaf in self._leaves
        ]

    def _pack(self, leaves: list[np.ndarray]) -> Any:
        return (
            leaves[0] if self._is_bare else tree.unflatten_as(self._structure, leaves)
        )


def _find_leaves(structure: Any) -> list[_Leaf]:
    leaves = []
    for path, spec in tree.flatten_with_path(structure):
        read: Callable[[Any], Any] = functools.partial(_follow, path)
        if len(path) == 1 and not hasattr(structure, "_fields"):
            read = operator.itemgetter(path[0])  # the same, faster
        leaves.append(_Leaf(path, read, spec.shape, spec.dtype))
    return leaves


def _follow(path: tuple[Any, ...], nest: Any) -> Any:
    for key in path:
        is_field = isinstance(key, str) and hasattr(nest, "_fields")
        nest = getattr(nest, key) if is_field else nest[key]
    return nest


def _read_array(leaf: _Leaf, observation: Any, index: int) -> np.ndarray:
    where = f" at {'/'.join(map(str, leaf.path))!r}" if leaf.path else ""
    expected = f"expected the shape {leaf.shape} of {leaf.dtype}"
    try:
        value = leaf.read(observation)
    except _MISFITS:
        raise ValueError(
            f"environment {index} returned an observation that has nothing{where}; "
            f"{expected}, got {type(observation).__name__}"
        ) from None
    array = np.asarray(value)
    is_lossy = array.dtype.kind == "f" and leaf.dtype.kind != "f"
    if array.shape != leaf.shape or array.dtype.kind not in "biuf" or is_lossy:
        raise ValueError(
            f"environment {index} returned an observation that does not fit its "
            f"spec{where}; {expected}, got the shape {array.shape} of {array.dtype}"
        )
    return array.astype(leaf.dtype)


def _read_numbers(values: Sequence[Any], what: str) -> np.ndarray:
    """Returns `[E] float64`."""
    numbers: list[float] = []
    try:
        for value in values:
            numbers.append(float(value))  # refuses None; NumPy takes it for NaN
    except (TypeError, ValueError):
        index = len(numbers)
        raise ValueError(
            f"environment {index} returned the {what} {values[index]!r}; "
            "expected a number"
        ) from None
    return np.array(numbers)


def _refuse_first(index: int) -> NoReturn:
    raise ValueError(
        f"environment {index} answered step() with a first time step; an episode has "
        "to end with a last one, and reset() has to be called before step()"
    )
