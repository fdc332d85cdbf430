"""Gymnasium environments, adapted to dm_env: `gym:ID`."""

import contextlib
import importlib.util
import re
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.action_masks import ACTION_MASK, join_mask, split_mask
from distrl.environments.spec import CategoricalArray, refuse_actions
from distrl.environments.suite import Address, Suite
from distrl.environments.value_checks import read_number, show
from distrl.errors import ConfigError, EnvironmentFault, suggest

_OLD_API = (
    "If this is the API of Gym before 0.26: reset takes `seed` and `options` and "
    "returns `observation, info`, and step returns `observation, reward, terminated, "
    "truncated, info`: truncated where only a time limit ends the episode, terminated "
    "where anything else does"
)
# What Gymnasium's wrappers, or the call of reset, raise because of it.
_OLD_API_ERROR = re.compile(
    r"values to unpack|\breset\(\) got an unexpected keyword argument '(seed|options)'"
)
# Gymnasium environments that need another package.
_REQUIREMENTS = {
    "gymnasium.envs.mujoco": "mujoco",
    "gymnasium.envs.box2d": "Box2D",
    "gymnasium.envs:_raise_mujoco_py_error": "mujoco_py",
}


def import_gymnasium() -> Any:
    """Imports Gymnasium and switches its warnings off."""
    import gymnasium

    gymnasium.logger.min_level = gymnasium.logger.ERROR
    return gymnasium


def load_gymnasium(address: Address, seed: int) -> Any:
    """Builds the Gymnasium environment with the id `address.rest`.

    With an id `package:ID` the package is imported first, to register it.
    `GymnasiumAdapter` passes the seed to the first reset.
    """
    gymnasium = import_gymnasium()
    name = address.rest

    try:
        return gymnasium.make(name, disable_env_checker=True, **address.args)
    except (gymnasium.error.UnregisteredEnv, ModuleNotFoundError) as error:
        raise ConfigError(
            f"environment {address.uri!r}: Gymnasium cannot find {name!r} ({error}). "
            "`distrl list envs` shows what is installed; an id that another package "
            f"registers is gym:PACKAGE:ID.{suggest(name, gymnasium.registry)}"
        ) from error


class GymnasiumAdapter(dm_env.Environment):
    """A Gymnasium environment with a Discrete action space, as a dm_env environment.

    Termination has discount 0, truncation 1. Actions are shifted to begin at 0. An
    action mask in `info` is added to the observation. `VectorEnvironment` checks
    observations and rewards.
    """

    def __init__(self, environment: Any, seed: int | None, uri: str = "gymnasium"):
        """Wraps `environment`; raises ConfigError, naming `uri`, if unsupported."""
        self._environment = environment
        self._seed = seed
        self._uri = uri
        space = _read_space(environment, "action", uri)
        if not isinstance(space, import_gymnasium().spaces.Discrete):
            raise refuse_actions(uri, space)
        self._start = int(space.start)
        self._action_spec = specs.DiscreteArray(int(space.n), np.int64, name="action")
        self._observation_spec: Any = None

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode; seeds only the first time."""
        self.observation_spec()
        observation, info = self._call(2, "reset", seed=self._seed)
        self._seed = None
        return dm_env.restart(self._join(observation, info, "reset"))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action; call `reset` once the episode is over."""
        observation, reward, terminated, truncated, info = self._call(
            5, "step", int(action) + self._start
        )
        is_terminated = _read_flag("terminated", terminated)
        is_over = _read_flag("truncated", truncated) or is_terminated
        return dm_env.TimeStep(
            dm_env.StepType.LAST if is_over else dm_env.StepType.MID,
            reward,
            0.0 if is_terminated else 1.0,
            self._join(observation, info, "step", action),
        )

    def observation_spec(self) -> Any:
        """Returns the nest of specs of the observation space, and of a mask in `info`.

        Only a reset shows whether `info` has a mask, so the first call may reset the
        environment with the first seed; the first episode then uses the same seed.
        """
        if self._observation_spec is None:
            self._observation_spec = self._read_observation_spec()
        return self._observation_spec

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the spec of actions 0 to n - 1."""
        return self._action_spec

    def close(self) -> None:
        """Closes the Gymnasium environment."""
        self._environment.close()

    def _call(self, length: int, name: str, *action: int, **seed: int | None) -> Any:
        """Calls a method, and returns its tuple of `length` values."""
        try:
            result = getattr(self._environment, name)(*action, **seed)
        except (TypeError, ValueError) as error:
            if _OLD_API_ERROR.search(str(error)):
                what = f"{type(error).__name__}: {error}. {_OLD_API}"
                call = f"{name}({', '.join(map(str, action))})"
                raise EnvironmentFault(f"failed in {call}: {what}") from error
            raise
        is_tuple = isinstance(result, (tuple, list))
        if is_tuple and len(result) == length and isinstance(result[-1], dict):
            return result
        values = f"{len(result)} values, " if is_tuple else ""
        raise EnvironmentFault(
            f"returned {values}{show(result)} from {name}(); expected a tuple of "
            f"{length} values, the last one a dict. {_OLD_API}"
        )

    def _join(self, observation: Any, info: Any, name: str, action: Any = "") -> Any:
        if self._shows_mask:
            return observation
        mask = info.get(ACTION_MASK)
        if self._informs != (mask is not None):
            now, before = ("no", "one") if self._informs else ("an", "none")
            raise EnvironmentFault(
                f"answered {name}({action}): info has {now} {ACTION_MASK!r} here, but "
                f"that of the first reset had {before}; give a mask with every reset "
                "and step, or with none"
            )
        return join_mask(observation, mask)

    def _read_observation_spec(self) -> Any:
        space = _read_space(self._environment, "observation", self._uri)
        # Gymnasium's own environments violate their bounds, such as LunarLander-v3.
        modules = [
            each.__module__ for each in type(self._environment.unwrapped).__mro__
        ]
        is_own = any(module.startswith("gymnasium.envs.") for module in modules)
        spec = describe_space(
            space, "observation", self._uri, has_float_bounds=not is_own
        )
        mask = None
        self._shows_mask = split_mask(spec)[1] is not None
        if not self._shows_mask:
            with contextlib.suppress(Exception):  # The next reset will raise it again.
                _, info = self._environment.reset(seed=self._seed)
                mask = info.get(ACTION_MASK)
        self._informs = mask is not None
        if mask is None:
            return spec
        array = np.asarray(mask)
        return join_mask(spec, specs.Array(array.shape, array.dtype, name=ACTION_MASK))


def describe_space(space: Any, name: str, uri: str, *, has_float_bounds: bool) -> Any:
    """Returns the nest of specs of an observation space.

    Raises ConfigError if arrays of fixed shape cannot represent it.
    """
    spaces = import_gymnasium().spaces

    def describe(part: Any, key: Any) -> Any:
        return describe_space(part, key, uri, has_float_bounds=has_float_bounds)

    if isinstance(space, spaces.Dict):
        return {key: describe(space[key], str(key)) for key in space.spaces}
    if isinstance(space, spaces.Tuple):
        return tuple(describe(item, f"{name}_{i}") for i, item in enumerate(space))
    if isinstance(space, spaces.Discrete):
        start, count = int(space.start), int(space.n)
        if start == 0:
            return specs.DiscreteArray(count, np.int64, name)
        return CategoricalArray((), np.int64, start, start + count - 1, name)
    if isinstance(space, spaces.MultiDiscrete):
        last = space.start + space.nvec - 1
        return CategoricalArray(space.shape, space.dtype, space.start, last, name)
    if isinstance(space, spaces.MultiBinary):
        return specs.BoundedArray(space.shape, space.dtype, 0, 1, name)
    if not isinstance(space, spaces.Box):
        raise ConfigError(
            f"environment {uri!r} has the observation space {space!r}; distrl takes "
            "Box, Discrete, MultiDiscrete and MultiBinary spaces, and Tuple and Dict "
            "of them. Wrap the environment in a factory that turns the observation "
            "into one of these, and name it as package.module:factory."
        )
    if space.dtype.kind == "f" and not has_float_bounds:
        return specs.Array(space.shape, space.dtype, name)
    low, high = _shrink(space.low), _shrink(space.high)
    return specs.BoundedArray(space.shape, space.dtype, low, high, name)


def _read_space(environment: Any, what: str, uri: str) -> Any:
    space = getattr(environment, f"{what}_space", None)
    if space is None or isinstance(space, import_gymnasium().spaces.Space):
        return space
    kind = type(space)
    package = kind.__module__.partition(".")[0]
    raise ConfigError(
        f"environment {uri!r} has the {what} space {space!r}, which is of the package "
        f"{package!r} ({kind.__module__}.{kind.__qualname__}); distrl reads those of "
        f"gymnasium. Make it gymnasium.spaces.{kind.__name__}: `from gymnasium import "
        f"spaces` instead of `from {package} import spaces`."
    )


def _read_flag(name: str, value: Any) -> bool:
    if value is True or value is False:
        return value
    number = read_number(value)
    if number is None or number not in (0.0, 1.0):
        raise EnvironmentFault(
            f"returned {name} = {show(value)} from step(); expected True or False"
        )
    return bool(number)


def _shrink(bound: np.ndarray) -> np.ndarray:
    """Returns a scalar if all elements are equal, to keep specs small between nodes."""
    is_uniform = bound.size > 0 and np.all(bound == bound.flat[0])
    return bound.reshape(-1)[0] if is_uniform else bound


def _list_entries() -> dict[str, str]:
    """Returns the newest version of each environment that can be built."""
    newest: dict[tuple[str | None, str], tuple[int, str, str]] = {}
    for spec in import_gymnasium().registry.values():
        text = spec.entry_point
        if callable(text):
            text = f"{text.__module__}:{text.__qualname__}"
        needed = [p for prefix, p in _REQUIREMENTS.items() if text.startswith(prefix)]
        if "GymV2" in spec.id or not all(map(importlib.util.find_spec, needed)):
            continue
        found = -1 if spec.version is None else spec.version, f"gym:{spec.id}", text
        key = (spec.namespace, spec.name)
        newest[key] = max(found, newest.get(key, found))
    return {uri: text for _, uri, text in sorted(newest.values(), key=lambda x: x[1])}


SUITE = Suite(
    form="gym:ID",
    load=load_gymnasium,
    list_entries=_list_entries,
    modules=("gymnasium",),
)
