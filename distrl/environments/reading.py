"""What environments return, read as arrays and numbers that are what they have to be.

An observation that leaves the bounds of its spec, or holds NaN or an infinity, would
be learnt from for as long as replay keeps it; so would such a reward.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tree
from dm_env import specs

from distrl.errors import EnvironmentFault

MISFITS = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What reading an observation that has another structure or shape raises."""

_NUMBERS = frozenset((bool, int, float, np.float32, np.float64, np.int32, np.int64))
_LARGEST = float(np.finfo(np.float32).max)


class Leaf:
    """An array of the observation nest: where it is, and what it has to be.

    Attributes:
      read: takes it out of an observation.
      shape: of one environment's.
      dtype: in which it travels.
    """

    def __init__(self, path: tuple[Any, ...], spec: specs.Array, structure: Any):
        """Takes the path to an array of a nest, its spec, and the nest of specs."""
        self.path = path
        self.read: Callable[[Any], Any] = functools.partial(_follow, path)
        if len(path) == 1 and not hasattr(structure, "_fields"):
            self.read = operator.itemgetter(path[0])  # the same, faster
        self.shape = spec.shape
        self.dtype = spec.dtype
        self._low, self._high = _find_bounds(spec)
        self._has_numbers = self._low.ndim == self._high.ndim == 0
        self._is_free = bool(
            np.all(self._low == _limits(self.dtype)[0])
            and np.all(self._high == _limits(self.dtype)[1])
        )

    def allows(self, array: np.ndarray) -> bool:
        """Returns whether the bounds hold for an array `[E, ...]`, and no NaN is there.

        It costs a few microseconds: an actor asks at each step.
        """
        if self._is_free:
            if self.dtype.kind != "f":
                return True
            # NaN and infinity spread through the sum of squares; large numbers may
            # overflow it, so that one looks at all of them.
            flat = array.ravel()
            return np.dot(flat, flat) < _LARGEST or bool(np.isfinite(array).all())
        if not array.size:
            return True
        if self._has_numbers:
            # Of NaN neither holds.
            return bool(array.min() >= self._low and array.max() <= self._high)
        return bool(((array >= self._low) & (array <= self._high)).all())

    def find_offence(self, array: np.ndarray) -> tuple[int, ...] | None:
        """Returns the index of the first number that is not allowed, or None."""
        fits = (array >= self._low) & (array <= self._high)
        return None if fits.all() else tuple(map(int, np.argwhere(~fits)[0]))

    def describe_bounds(self, index: tuple[int, ...]) -> str:
        """Returns what a number of the array may be, in words."""
        low = np.broadcast_to(self._low, self.shape)[index]
        high = np.broadcast_to(self._high, self.shape)[index]
        if self.dtype.kind == "f" and (low, high) == _limits(self.dtype):
            return "a finite number"
        return f"{low} to {high}"

    def describe_place(self) -> str:
        """Returns ` at 'a/b'`, or nothing for an observation that is one array."""
        return f" at {'/'.join(map(str, self.path))!r}" if self.path else ""


def find_leaves(structure: Any) -> list[Leaf]:
    """Returns the arrays of a nest of specs."""
    return [
        Leaf(path, spec, structure) for path, spec in tree.flatten_with_path(structure)
    ]


def read_array(leaf: Leaf, observation: Any, index: int) -> np.ndarray:
    """Returns an array of one environment's observation.

    Args:
      leaf: which one.
      observation: the environment's.
      index: of the environment.

    Raises:
      EnvironmentFault: it is not there, or is not what the spec says.
    """
    where = leaf.describe_place()
    expected = f"expected the shape {leaf.shape} of {leaf.dtype}"
    try:
        value = leaf.read(observation)
    except MISFITS:
        raise EnvironmentFault(
            f"environment {index} returned an observation that has nothing{where}; "
            f"{expected}, got {type(observation).__name__}"
        ) from None
    array = np.asarray(value)
    is_lossy = array.dtype.kind == "f" and leaf.dtype.kind != "f"
    if array.shape != leaf.shape or array.dtype.kind not in "biuf" or is_lossy:
        raise EnvironmentFault(
            f"environment {index} returned an observation that does not fit its "
            f"spec{where}; {expected}, got the shape {array.shape} of {array.dtype}"
        )
    with np.errstate(over="ignore"):
        cast = array.astype(leaf.dtype)
    offence = leaf.find_offence(cast)
    if offence is not None:
        at = f"[{', '.join(map(str, offence))}]" if offence else ""
        raise EnvironmentFault(
            f"environment {index} returned an observation outside its spec{where}: "
            f"observation{at} is {array[offence]}; expected "
            f"{leaf.describe_bounds(offence)}"
        )
    return cast


def read_rewards(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float64`; messages call the environments `first` and so on.

    Raises:
      EnvironmentFault: one is not a finite number of float32.
    """
    return _read_numbers(
        values, first, "reward", -_LARGEST, _LARGEST, "a finite number"
    )


def read_discounts(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float32`; None is 1. Messages call the first one `first`.

    Raises:
      EnvironmentFault: one is not from 0 to 1.
    """
    numbers = [1.0 if value is None else value for value in values]
    read = _read_numbers(numbers, first, "discount", 0.0, 1.0, "a number from 0 to 1")
    return read.astype(np.float32)


def _read_numbers(
    values: Sequence[Any],
    first: int,
    what: str,
    low: float,
    high: float,
    expected: str,
) -> np.ndarray:
    if _NUMBERS.issuperset(map(type, values)):
        numbers = list(map(float, values))
        total = sum(numbers)
        # A NaN or an infinity leaves no difference of 0.
        if total - total == 0.0 and low <= min(numbers) and max(numbers) <= high:
            return np.array(numbers)
    return np.array(
        [
            _read_number(value, index, what, low, high, expected)
            for index, value in enumerate(values, first)
        ]
    )


def _read_number(
    value: Any, index: int, what: str, low: float, high: float, expected: str
) -> float:
    try:
        number = float(value)  # refuses None; NumPy takes it for NaN
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, str) or not low <= number <= high:
        raise EnvironmentFault(
            f"environment {index} returned the {what} {value!r}; expected {expected}"
        )
    return number


def _follow(path: tuple[Any, ...], nest: Any) -> Any:
    for key in path:
        is_field = isinstance(key, str) and hasattr(nest, "_fields")
        nest = getattr(nest, key) if is_field else nest[key]
    return nest


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return info.min, info.max


def _find_bounds(spec: specs.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest allowed number, or arrays of them."""
    least, most = _limits(spec.dtype)
    if not isinstance(spec, specs.BoundedArray):
        return np.asarray(least), np.asarray(most)
    low, high = np.asarray(spec.minimum), np.asarray(spec.maximum)
    if spec.dtype == np.int32 and (np.any(low == least) or np.any(high == most)):
        # Made of wider integers, which may have wrapped.
        return np.asarray(least), np.asarray(most)
    return np.maximum(low, least), np.minimum(high, most)
