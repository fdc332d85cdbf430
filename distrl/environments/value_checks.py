"""Checks of the values that environments return.

Replay is learned from again and again, so no NaN or value out of bounds may enter it. A
cast can hide a fault, so values are checked before they are cast.
"""

import contextlib
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import dm_env
import numpy as np
import tree
from dm_env import specs

from distrl.action_masks import ACTION_MASK
from distrl.errors import EnvironmentFault

# What reading an observation of another structure or shape may raise.
_MISFITS = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
_LARGEST = float(np.finfo(np.float32).max)
_SHOWN_CHARACTERS = 120
# In the order of their frequency.
_STEP_TYPES = (dm_env.StepType.MID, dm_env.StepType.LAST, dm_env.StepType.FIRST)


class Leaf:
    """One array of an observation: its path in the nest, and its allowed values.

    Attributes:
      read: takes the array out of an observation.
      declared: its dtype in the environment's own spec.
      dtype: the dtype in which it is carried.
      is_whole: whether it holds integers or booleans.
      low, high: the smallest and largest allowed values, `[]` or of the array's shape.
      is_free: whether `declared` alone, or being finite, limits the values.
    """

    def __init__(
        self, path: tuple[Any, ...], spec: specs.Array, structure: Any, own: Any
    ):
        """Takes the spec at `path` of `structure`, a nest of specs.

        `own` is the nest that the environment itself declares.
        """
        self.path = path
        self.place = f" at {'/'.join(map(str, path))!r}" if path else ""
        self.read: Callable[[Any], Any] = functools.partial(_follow, path, structure)
        if len(path) == 1 and isinstance(structure, dict):
            self.read = operator.itemgetter(path[0])  # equivalent, faster
        self.shape, self.dtype, self.declared = spec.shape, spec.dtype, spec.dtype
        with contextlib.suppress(*_MISFITS):  # `read_array` will report what is missing
            self.declared = _follow(path, None, own).dtype
        self.is_whole = self.declared.kind in "biu"
        least, most = _limits(self.declared if self.is_whole else self.dtype)
        lower, upper = _limits(self.dtype)
        # Integers must fit both dtypes.
        limits = max(least, lower), min(most, upper)
        is_bounded = isinstance(spec, specs.BoundedArray)
        bounds = (spec.minimum, spec.maximum) if is_bounded else limits
        kind = np.int64 if self.is_whole else self.dtype
        self.low, self.high = (np.clip(x, *limits).astype(kind) for x in bounds)
        self.is_free = bool(np.all(self.low == least) and np.all(self.high == most))

    def convert(self, array: np.ndarray, count: int) -> np.ndarray | None:
        """Returns `[K, ...]` in the carried dtype; None if a value is not allowed.

        Fast (microseconds), as actors call it at every step; `read_array` explains a
        fault.
        """
        kinds = "biu" if self.is_whole else "biuf"
        if array.shape != (count, *self.shape) or array.dtype.kind not in kinds:
            return None
        if not self.is_whole:
            if array.dtype != self.dtype:
                with np.errstate(over="ignore"):
                    array = array.astype(self.dtype)
            return array if self._allows(array) else None
        # Before a cast to a narrower dtype, which would change integers.
        if (self.is_free and array.dtype == self.declared) or self._allows(array):
            return array.astype(self.dtype, copy=False)
        return None

    def _allows(self, array: np.ndarray) -> bool:
        if self.is_free and not self.is_whole:
            # NaN and infinity propagate to the sum of squares. Large values may
            # overflow it, of which NumPy 2.5 warns; only then is each value checked.
            flat = array.ravel()
            with np.errstate(over="ignore"):
                total = np.dot(flat, flat)
            return total < _LARGEST or bool(np.isfinite(array).all())
        if not array.size:
            return True
        if self.low.ndim == self.high.ndim == 0:  # comparisons are false for NaN
            return bool(array.min() >= self.low and array.max() <= self.high)
        return bool(((array >= self.low) & (array <= self.high)).all())


def make_leaves(structure: Any, own: Any = None) -> list[Leaf]:
    """Returns the leaves of a nest of specs; `own` is what an environment declares."""
    leaves = tree.flatten_with_path(structure)
    return [Leaf(path, spec, structure, own) for path, spec in leaves]


def read_leaves(
    leaves: Sequence[Leaf],
    stack: Callable[[Leaf], np.ndarray],
    pick: Callable[[int], Any],
    indices: Sequence[int],
    call: str,
) -> list[np.ndarray]:
    """Returns the checked arrays of K observations, `[K, ...]` for each leaf.

    `stack` returns `[K, ...]` for a leaf, without a cast; `pick` returns one of the K
    observations. Raises EnvironmentFault, naming an environment of `indices` and
    `call`, if an observation does not match the spec.
    """
    arrays = []
    for leaf in leaves:
        try:
            array = leaf.convert(stack(leaf), len(indices))
        except _MISFITS:
            array = None
        if array is None:  # one by one, to name the environment
            each = enumerate(indices)
            array = np.stack([read_array(leaf, pick(k), i, call) for k, i in each])
        arrays.append(array)
    return arrays


def read_array(leaf: Leaf, observation: Any, index: int, call: str) -> np.ndarray:
    """Returns one array in the carried dtype; raises EnvironmentFault for a fault."""
    start = f"environment {index} returned an observation from {call}"
    array, value, why = np.array(None), observation, ""
    try:
        value = leaf.read(observation)
        array = np.asarray(value)
    except _MISFITS as error:  # another structure, or lists of different lengths
        why = f", {error!r}"
    is_number = array.dtype.kind in "biuf"
    if array.shape != leaf.shape or not is_number:
        got = f"the shape {array.shape} of {array.dtype}"
        got = got if is_number else show(value) + why
        raise EnvironmentFault(
            f"{start} that does not fit its spec{leaf.place}; expected the shape "
            f"{leaf.shape} of {leaf.declared}, got {got}",
            "observations",
        )
    with np.errstate(over="ignore"):
        cast = array if leaf.is_whole else array.astype(leaf.dtype)
    is_wrong = ~((cast >= leaf.low) & (cast <= leaf.high))
    if leaf.is_whole and array.dtype.kind == "f":
        is_wrong |= array != np.rint(array)
    for at in np.argwhere(is_wrong):
        found, rule = _explain_number(leaf, array, tuple(at.tolist()))
        raise EnvironmentFault(f"{start} outside its spec{leaf.place}: {found}", rule)
    return cast.astype(leaf.dtype)


def read_rewards(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float64`; raises EnvironmentFault if one is not a finite float32."""
    limits = -_LARGEST, _LARGEST
    return _read_numbers(values, first, "reward", limits, "a finite number")


def read_discounts(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float32`, 1 for None; raises EnvironmentFault unless from 0 to 1."""
    numbers = [1.0 if value is None else value for value in values]
    limits = 0.0, 1.0
    read = _read_numbers(numbers, first, "discount", limits, "a number from 0 to 1")
    return read.astype(np.float32)


def read_number(value: Any) -> float | None:
    """Returns a number, or an array's only one, as a float; None for anything else."""
    if isinstance(value, (list, tuple)):
        return None
    with contextlib.suppress(*_MISFITS):
        array = np.asarray(value)
        # float() would also accept text and complex numbers.
        if array.dtype.kind in "biuf" and array.size == 1:
            return float(array.reshape(()))
    return None


def check_time_step(timestep: Any, index: int, call: str) -> None:
    """Raises EnvironmentFault unless `timestep` is a valid answer to `call`."""
    is_one = isinstance(timestep, dm_env.TimeStep)
    if not is_one or timestep.step_type not in _STEP_TYPES:
        raise EnvironmentFault(
            f"environment {index} returned {show(timestep)} from {call}; expected a "
            "dm_env.TimeStep with a dm_env.StepType"
        )
    if timestep.step_type == dm_env.StepType.FIRST and call != "reset()":
        raise EnvironmentFault(
            f"environment {index} answered {call} with a first time step; an episode "
            "has to end with a last one, and reset() has to be called before step()"
        )


def refuse_stuck(index: int, call: str) -> EnvironmentFault:
    """Returns the error for an action mask without a legal action."""
    return EnvironmentFault(
        f"environment {index} returned from {call} an {ACTION_MASK!r} that allows no "
        "action; it may be all zeros only where an episode terminates, not where it "
        "continues or is truncated",
        "action masks",
    )


def show(value: Any) -> str:
    """Returns a value as one short line, for messages."""
    text = " ".join(repr(value).split())
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}..."
    kind = type(value).__name__
    is_clear = value is None or isinstance(value, (bool, int, float))
    return text if is_clear or text.startswith(kind) else f"{text} ({kind})"


def _explain_number(
    leaf: Leaf, array: np.ndarray, at: tuple[int, ...]
) -> tuple[str, str]:
    """Returns what is wrong with a number, and the rule that it breaks."""
    number = array[at]
    low, high = (np.broadcast_to(x, leaf.shape)[at] for x in (leaf.low, leaf.high))
    rule, expected = "bounds", f"{low} to {high}"
    if leaf.is_free and not leaf.is_whole:
        expected = "a finite number"
    if not np.isfinite(number):
        rule = "finite numbers"
    elif leaf.is_whole and number != np.rint(number):
        rule = "observations"
        expected = f"a whole number, since the spec has {leaf.declared}"
    return f"observation{list(at) or ''} is {number}; expected {expected}", rule


def _read_numbers(
    values: Sequence[Any],
    first: int,
    what: str,
    limits: tuple[float, float],
    expected: str,
) -> np.ndarray:
    low, high = limits
    try:
        array = np.array(values)
        is_plain = array.shape == (len(values),) and array.dtype.kind in "biuf"
        # Both comparisons are false for NaN.
        if is_plain and array.min() >= low and array.max() <= high:
            return array.astype(np.float64, copy=False)
    except _MISFITS:  # arrays of different shapes
        pass
    numbers = []
    for index, value in enumerate(values, first):
        number = read_number(value)
        if number is None or not low <= number <= high:
            raise EnvironmentFault(
                f"environment {index} returned the {what} {show(value)} from step(); "
                f"expected {expected}",
                f"{what}s",
            )
        numbers.append(number)
    return np.array(numbers)


def _follow(path: tuple[Any, ...], structure: Any, nest: Any) -> Any:
    """Returns the part of a nest at a path; `structure` has the lengths of tuples."""
    for key in path:
        if isinstance(structure, (tuple, list)) and len(nest) != len(structure):
            raise IndexError(f"it has {len(nest)} parts instead of {len(structure)}")
        nest = _get(nest, key)
        structure = None if structure is None else _get(structure, key)
    return nest


def _get(nest: Any, key: Any) -> Any:
    is_field = isinstance(key, str) and hasattr(nest, "_fields")
    return getattr(nest, key) if is_field else nest[key]


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return 0, 1
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return info.min, info.max
