"""Environments with known trajectories, and factories for tests to name by URI."""

from collections.abc import Callable
from typing import Any

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from hypothesis import strategies as st

from distrl.environments.batch import BatchStep

EPISODES = st.lists(
    st.lists(
        st.tuples(
            st.integers(-5, 5).map(float), st.sampled_from([0.0, 0.5, 1.0, None])
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)
"""Scripts of `Scripted`, drawn by hypothesis."""


class Scripted(dm_env.Environment):
    """Repeats episodes, each a list of one (reward, discount) per step."""

    def __init__(self, episodes: list[list[tuple[float, float | None]]]):
        self.episodes = episodes
        self.actions: list[Any] = []
        self.is_closed = False
        # Every step overwrites one buffer, as in some real environments.
        self._buffer = np.zeros(2)
        self._episode = -1
        self._step = 0
        self._is_over = True

    def reset(self) -> dm_env.TimeStep:
        self._episode += 1
        self._step = 0
        self._is_over = False
        return dm_env.restart(self._observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        if self._is_over:
            return self.reset()
        self.actions.append(action)
        script = self.episodes[self._episode % len(self.episodes)]
        reward, discount = script[self._step]
        self._step += 1
        is_last = self._step == len(script)
        self._is_over = is_last
        step_type = dm_env.StepType.LAST if is_last else dm_env.StepType.MID
        return dm_env.TimeStep(step_type, reward, discount, self._observe())

    def _observe(self) -> np.ndarray:
        """Returns the number of the episode and the step in it, `[2] float64`."""
        self._buffer[:] = self._episode, self._step
        return self._buffer

    def observation_spec(self) -> specs.Array:
        return specs.Array((2,), np.float64, name="observation")

    def action_spec(self) -> specs.BoundedArray:
        return specs.DiscreteArray(3)

    def close(self) -> None:
        self.is_closed = True


class ScriptedBatch:
    """A `Batch` that plays a list of episodes in each of its environments."""

    def __init__(self, scripts: list[list[list[tuple[float, float | None]]]]):
        self.environments = [Scripted(script) for script in scripts]
        self.is_closed = False

    def __len__(self) -> int:
        return len(self.environments)

    def reset(self, indices: list[int]) -> np.ndarray:
        return np.array([self.environments[i].reset().observation for i in indices])

    def step(self, action: np.ndarray) -> BatchStep:
        timesteps = [
            environment.step(a)
            for environment, a in zip(self.environments, action, strict=True)
        ]
        return BatchStep(
            np.array([t.observation for t in timesteps]),
            np.array([t.reward for t in timesteps]),
            np.array([1.0 if t.discount is None else t.discount for t in timesteps]),
            np.array([t.last() for t in timesteps]),
        )

    def observation_spec(self) -> specs.Array:
        return self.environments[0].observation_spec()

    def action_spec(self) -> specs.DiscreteArray:
        return self.environments[0].action_spec()

    def close(self) -> None:
        self.is_closed = True


class Constant(dm_env.Environment):
    """Always returns the same observation; its specs are arguments."""

    def __init__(
        self, observation: Any, observation_spec: Any, action_spec: Any = None
    ):
        self.observation = observation
        self._observation_spec = observation_spec
        self._action_spec = (
            specs.DiscreteArray(2) if action_spec is None else action_spec
        )
        self.actions: list[Any] = []

    def reset(self) -> dm_env.TimeStep:
        return dm_env.restart(self.observation)

    def step(self, action: Any) -> dm_env.TimeStep:
        self.actions.append(action)
        return dm_env.transition(1.0, self.observation)

    def observation_spec(self) -> Any:
        return self._observation_spec

    def action_spec(self) -> Any:
        return self._action_spec


class Spaces(gymnasium.Env):
    """A Gymnasium environment of the given spaces, with end flags from `ends`."""

    def __init__(
        self,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        ends: tuple[tuple[bool, bool], ...] = ((False, False),),
    ):
        self.observation_space = observation_space
        self.action_space = action_space
        self.actions: list[Any] = []
        self.seeds: list[Any] = []
        self._ends = ends
        self._count = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.actions.append(action)
        terminated, truncated = self._ends[self._count % len(self._ends)]
        self._count += 1
        return self.observation_space.sample(), 1.0, terminated, truncated, {}


class RandomWalk(Scripted):
    """Observes random numbers that its seed determines."""

    def __init__(self, length: int = 3, seed: int | None = None):
        super().__init__([[(0.0, 1.0)] * length])
        self.seed = seed
        self._random = np.random.RandomState(seed)

    def _observe(self) -> np.ndarray:
        return self._random.uniform(size=2)


def make_scripted() -> dm_env.Environment:
    return Scripted([[(1.0, 1.0), (2.0, 0.0)]])


def make_with_others(seed: int, **others: Any) -> dm_env.Environment:
    return RandomWalk(seed=seed, **others)


def make_cartpole() -> gymnasium.Env:
    return gymnasium.make("CartPole-v1")


def make_from_five() -> gymnasium.Env:
    return Spaces(
        gymnasium.spaces.Box(0, 1, (2,)), gymnasium.spaces.Discrete(3, start=5)
    )


def make_minus_one_to_one() -> dm_env.Environment:
    return Constant(
        np.zeros(2, np.float32),
        specs.Array((2,), np.float32),
        specs.BoundedArray((), np.int32, minimum=-1, maximum=1),
    )


def _act(action_spec: Any) -> dm_env.Environment:
    return Constant(np.zeros(2), specs.Array((2,), np.float64), action_spec)


class Agents:
    """Looks like a PettingZoo environment of several agents."""

    possible_agents = ("left", "right")


_BOX = gymnasium.spaces.Box(0, 1, (2,))
_TWO = gymnasium.spaces.Discrete(2)
_INT64 = np.iinfo(np.int64)

UNUSABLE: dict[str, Callable[[], Any]] = {
    "continuous": lambda: _act(specs.BoundedArray((1,), np.float32, -1, 1)),
    "several": lambda: _act([specs.DiscreteArray(2), specs.DiscreteArray(3)]),
    "dict": lambda: _act({"left": specs.DiscreteArray(2)}),
    "pair": lambda: _act(specs.BoundedArray((2,), np.int32, 0, 1)),
    "unbounded": lambda: _act(specs.BoundedArray((), np.int64, _INT64.min, _INT64.max)),
    "no actions": lambda: _act(()),
    "multi": lambda: Spaces(_BOX, gymnasium.spaces.MultiDiscrete([2, 3])),
    "tuple": lambda: Spaces(_BOX, gymnasium.spaces.Tuple([_TWO] * 2)),
    "agents": Agents,
    "vector": lambda: gymnasium.make_vec("CartPole-v1", num_envs=2),
    "text": lambda: Spaces(gymnasium.spaces.Text(5), _TWO),
    "words": lambda: Constant(np.array("a"), specs.StringArray(())),
    "nothing": lambda: Constant({}, {}),
    "empty": lambda: Constant(np.zeros((0, 3)), specs.Array((0, 3), np.float32)),
    "shape": lambda: Constant(np.zeros(3), (3,)),
    "misfit": lambda: Constant(np.zeros(3), specs.Array((4,), np.float32)),
    "halves": lambda: Constant(np.full(2, 0.5), specs.Array((2,), np.int32)),
    "none": lambda: None,
}


def make_unusable(kind: str) -> Any:
    """Returns something that distrl cannot use as an environment."""
    return UNUSABLE[kind]()


def make_none() -> None:
    return None


def make_broken() -> dm_env.Environment:
    raise RuntimeError("the level file is missing")


NOT_CALLABLE = 3
