"""The actions and observations that distrl accepts, and the dtypes it carries them in.

  bool, float16, float64 -> float32     uint8 -> uint8 (images)
  every other integer -> int32          (values beyond int32 are refused)

A bool becomes float32, not uint8, since networks take uint8 for pixels. An action mask,
which no network sees, is carried as uint8.
"""

from collections.abc import Mapping
from typing import Any

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.action_masks import ACTION_MASK, split_mask
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

MAX_ACTIONS = 65_536
"""A network has one output per action; a wider space is not meant to be enumerated."""


class CategoricalArray(specs.BoundedArray):
    """Integers that name categories, as in Gymnasium's `MultiDiscrete`."""

    @property
    def num_values(self) -> np.ndarray:
        """The number of values of each integer, `[]` or of the array's shape."""
        return self.maximum.astype(np.int64) - self.minimum + 1

    def __reduce__(self) -> Any:
        """Pickles it as a `CategoricalArray`; dm_env would pickle a `BoundedArray`."""
        _, arguments = super().__reduce__()
        return CategoricalArray, arguments


def make_spec(
    environment: dm_env.Environment, uri: str = "environment"
) -> EnvironmentSpec:
    """Returns the spec of an environment; raises ConfigError if it is unsupported."""
    num_actions = count_actions(environment.action_spec(), uri)
    own = environment.observation_spec()
    observation = _convert(own, (), uri)
    seen, mask = split_mask(observation)
    if mask is not None:
        observation[ACTION_MASK] = _convert_mask(own[ACTION_MASK], num_actions, uri)
    if not any(leaf.shape == () or all(leaf.shape) for leaf in tree.flatten(seen)):
        raise ConfigError(
            f"environment {uri!r} has the observation spec {observation!r}, which "
            "contains no numbers for a network; add at least one array, for example a "
            "constant."
        )
    return EnvironmentSpec(observation, num_actions)


def count_actions(action_spec: Any, uri: str) -> int:
    """Returns the number of actions; raises ConfigError unless they are one integer."""
    is_scalar = isinstance(action_spec, specs.BoundedArray) and action_spec.shape == ()
    if not is_scalar or action_spec.dtype.kind not in "iu":
        raise refuse_actions(uri, action_spec)
    # Python integers, as the difference of two int64 bounds may overflow.
    num_actions = int(action_spec.maximum) - int(action_spec.minimum) + 1
    if num_actions > MAX_ACTIONS:
        raise refuse_actions(uri, action_spec)
    return num_actions


def refuse_actions(uri: str, space: Any) -> ConfigError:
    """Returns the error for a Gymnasium space or dm_env spec of unsupported actions."""
    return ConfigError(
        f"environment {uri!r} has the action space {space!r}; distrl needs a single "
        f"discrete action with at most {MAX_ACTIONS} values. Write a factory that "
        "wraps the environment and maps 0 to n - 1 to its actions: to some values of a "
        "continuous one, or to the combinations of several choices; of several agents "
        "it plays all but one. Name it as package.module:factory; "
        "docs/environments.md has an example."
    )


def _convert(spec: Any, path: tuple[Any, ...], uri: str) -> Any:
    # Plain dicts only: JAX does not treat every mapping as a nest.
    if isinstance(spec, Mapping):
        return {key: _convert(spec[key], (*path, key), uri) for key in spec}
    if isinstance(spec, (tuple, list)):
        items = [_convert(item, (*path, i), uri) for i, item in enumerate(spec)]
        is_named = hasattr(spec, "_fields")
        return type(spec)(*items) if is_named else type(spec)(items)
    dtype = _choose_dtype(spec.dtype) if isinstance(spec, specs.Array) else None
    if dtype is None:
        where = f" at {'/'.join(map(str, path))!r}" if path else ""
        raise ConfigError(
            f"environment {uri!r} has the observation spec {spec!r}{where}; distrl "
            "takes nests (dict, tuple, list) of dm_env.specs.Array with a boolean, "
            "integer or float dtype. Wrap the environment in a factory that turns "
            "the observation into such arrays, and name it as package.module:factory."
        )
    return spec if dtype == spec.dtype else _cast(spec, dtype)


def _choose_dtype(dtype: np.dtype) -> np.dtype | None:
    if dtype.kind in "fb":
        return np.dtype(np.float32)
    if dtype.kind in "iu":
        return dtype if dtype == np.uint8 else np.dtype(np.int32)
    return None


def _convert_mask(spec: Any, num_actions: int, uri: str) -> specs.BoundedArray:
    fits = isinstance(spec, specs.Array) and spec.dtype.kind in "biu"
    if not fits or spec.shape != (num_actions,):
        raise ConfigError(
            f"environment {uri!r} has the spec {spec!r} for {ACTION_MASK!r}; an action "
            f"mask is a boolean or integer array of shape ({num_actions},), one entry "
            "per action. If it is something else, rename it."
        )
    return specs.BoundedArray(spec.shape, np.uint8, 0, 1, name=ACTION_MASK)


def _cast(spec: specs.Array, dtype: np.dtype) -> specs.Array:
    if isinstance(spec, specs.DiscreteArray):
        return specs.DiscreteArray(spec.num_values, dtype, spec.name)
    if not isinstance(spec, specs.BoundedArray):
        return specs.Array(spec.shape, dtype, spec.name)
    minimum, maximum = spec.minimum, spec.maximum
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        minimum = np.clip(minimum, limits.min, limits.max)
        maximum = np.clip(maximum, limits.min, limits.max)
    with np.errstate(over="ignore"):  # a bound beyond float32 is infinite
        minimum, maximum = minimum.astype(dtype), maximum.astype(dtype)
    is_categorical = isinstance(spec, CategoricalArray)
    kind = CategoricalArray if is_categorical else specs.BoundedArray
    return kind(spec.shape, dtype, minimum, maximum, spec.name)
