"""Gymnasium environments as dm_env ones, and those installed: `gym:ID`."""

import contextlib
from collections.abc import Callable
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.action_masks import ACTION_MASK, join_mask, split_mask
from distrl.environments.actions import refuse_actions
from distrl.environments.address import Address
from distrl.environments.factory import call_factory
from distrl.errors import ConfigError, EnvironmentFault, suggest

Reader = Callable[[Any], Any]

INSTALL = {"Box2D": "pip install 'box2d>=2.3.10'"}
"""The commands that install what some of Gymnasium's own environments need."""


def import_gymnasium() -> Any:
    """Imports Gymnasium and switches its warnings off."""
    import gymnasium

    gymnasium.logger.min_level = gymnasium.logger.ERROR
    return gymnasium


def load_gymnasium(address: Address, seed: int) -> Any:
    """Builds the Gymnasium environment with the id `address.rest`.

    The id may be `package:ID`; the package is imported first, to register it.

    Raises:
      ConfigError: for an unknown id or argument, or when it cannot be built.
    """
    del seed  # goes to the first reset
    gymnasium = import_gymnasium()
    name = address.rest

    def make(**args: Any) -> Any:
        try:
            return gymnasium.make(name, disable_env_checker=True, **args)
        except (gymnasium.error.UnregisteredEnv, ModuleNotFoundError) as error:
            raise ConfigError(
                f"environment {address.uri!r}: Gymnasium cannot find {name!r} "
                f"({error}). `distrl list envs` shows what is installed; an id that "
                "another package registers is gym:PACKAGE:ID."
                f"{suggest(name, gymnasium.registry)}"
            ) from error
        except gymnasium.error.DependencyNotInstalled as error:
            for package, command in INSTALL.items():
                if package in str(error):
                    raise ConfigError(
                        f"environment {address.uri!r} needs {package}, which is not "
                        f"installed; install it with: {command}"
                    ) from error
            raise

    return call_factory(make, address.args, address.uri)


class GymnasiumAdapter(dm_env.Environment):
    """A Gymnasium environment with a Discrete action space, as a dm_env one.

    Termination has discount 0, truncation 1. The first reset is seeded, the later
    ones go on from there. Discrete spaces, of actions and of observations, are
    shifted to begin at 0. An action mask in `info` becomes a part of the observation.
    """

    def __init__(self, environment: Any, seed: int | None, uri: str = "gymnasium"):
        """Wraps `environment`; messages call it `uri`.

        Raises:
          ConfigError: for an action space that is not Discrete, or an observation
            space that has no arrays of a fixed shape.
        """
        self._environment = environment
        self._seed = seed
        num_actions = count_discrete(environment.action_space, uri)
        self._start = int(environment.action_space.start)
        self._action_spec = specs.DiscreteArray(num_actions, np.int64, name="action")
        self._observation_spec, self._read = describe_space(
            environment.observation_space, "observation", uri
        )
        self._shows_mask = split_mask(self._observation_spec)[1] is not None
        # Whether the mask is in `info`; None where only a reset can tell.
        self._informs = False if self._shows_mask else None
        self._is_over = True

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode; the first time with the seed."""
        observation, info = self._environment.reset(seed=self._seed)
        self._seed = None
        self._is_over = False
        return dm_env.restart(self._join(observation, info))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action, or starts an episode when the last one is over."""
        if self._is_over:
            return self.reset()
        observation, reward, terminated, truncated, info = self._environment.step(
            int(action) + self._start
        )
        observation, reward = self._join(observation, info), float(reward)
        if terminated:
            self._is_over = True
            return dm_env.termination(reward, observation)
        if truncated:
            self._is_over = True
            return dm_env.truncation(reward, observation)
        return dm_env.transition(reward, observation)

    def observation_spec(self) -> Any:
        """Returns a nest of specs like the observation space, and of a mask in `info`.

        Only a reset can tell whether `info` has a mask. The one that is made here if
        there was none before has the seed of the first episode, which begins anew.
        """
        if self._informs is None:
            # What it raises, the next reset will raise too.
            with contextlib.suppress(Exception):
                _, info = self._environment.reset(seed=self._seed)
                self._note_mask(_find_mask(info))
        return self._observation_spec

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def close(self) -> None:
        """Closes the Gymnasium environment."""
        self._environment.close()

    def _join(self, observation: Any, info: Any) -> Any:
        """Returns an observation with the mask in `info`, unless it has its own."""
        seen, mask = self._read(observation), _find_mask(info)
        if self._shows_mask:
            return seen
        if self._informs is None:
            self._note_mask(mask)
        if self._informs != (mask is not None):
            now, before = ("no", "one") if self._informs else ("an", "none")
            raise EnvironmentFault(
                f"info has {now} {ACTION_MASK!r} here, but that of the first reset had "
                f"{before}; give a mask with every reset and step, or with none"
            )
        return join_mask(seen, mask)

    def _note_mask(self, mask: Any) -> None:
        """Notes that the first `info` has this mask, or none."""
        self._informs = mask is not None
        if self._informs:
            array = np.asarray(mask)
            spec = specs.Array(array.shape, array.dtype, name=ACTION_MASK)
            self._observation_spec = join_mask(self._observation_spec, spec)


def _find_mask(info: Any) -> Any:
    """Returns the mask in what an environment calls `info`, None if there is none."""
    return info.get(ACTION_MASK) if isinstance(info, dict) else None


def count_discrete(space: Any, uri: str) -> int:
    """Returns the number of actions of an action space.

    Raises:
      ConfigError: it is not Discrete.
    """
    if not isinstance(space, import_gymnasium().spaces.Discrete):
        raise refuse_actions(uri, space)
    return int(space.n)


def describe_space(space: Any, name: str, uri: str) -> tuple[Any, Reader]:
    """Returns the spec of an observation space and a function that reads a value.

    Raises:
      ConfigError: it has no arrays of a fixed shape.
    """
    spaces = import_gymnasium().spaces
    if isinstance(space, spaces.Dict):
        parts = {k: describe_space(space[k], str(k), uri) for k in space.spaces}
        readers = {key: read for key, (_, read) in parts.items()}
        return (
            {key: spec for key, (spec, _) in parts.items()},
            lambda value: {key: read(value[key]) for key, read in readers.items()},
        )
    if isinstance(space, spaces.Tuple):
        items = [
            describe_space(item, f"{name}_{i}", uri) for i, item in enumerate(space)
        ]
        reads = [read for _, read in items]
        return (
            tuple(spec for spec, _ in items),
            lambda value: tuple(read(x) for read, x in zip(reads, value, strict=True)),
        )
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        spec = specs.DiscreteArray(int(space.n), np.int32, name)
        return spec, lambda value: np.int32(value - start)
    bounds = _read_bounds(space)
    if bounds is None:
        raise ConfigError(
            f"environment {uri!r} has the observation space {space!r}; distrl takes "
            "Box, Discrete, MultiDiscrete and MultiBinary spaces, and Tuple and Dict "
            "of them. Wrap the environment in a factory that turns the observation "
            "into one of these, and name it as package.module:factory."
        )
    dtype = space.dtype
    if dtype.kind == "f":
        # Its own environments leave such bounds: LunarLander-v3 climbs out of them.
        spec = specs.Array(space.shape, dtype, name)
    else:
        spec = specs.BoundedArray(space.shape, dtype, *bounds, name=name)
    return spec, lambda value: np.asarray(value, dtype)


def _read_bounds(space: Any) -> tuple[Any, Any] | None:
    spaces = import_gymnasium().spaces
    if isinstance(space, spaces.Box):
        return _shrink(space.low), _shrink(space.high)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    return None


def _shrink(bound: np.ndarray) -> np.ndarray:
    """Returns a scalar where all elements are alike: specs travel between nodes."""
    is_uniform = bound.size > 0 and np.all(bound == bound.flat[0])
    return bound.reshape(-1)[0] if is_uniform else bound
