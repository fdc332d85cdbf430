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

MISFITS = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What reading an observation of another structure or shape may raise."""

_NUMBERS = frozenset((bool, int, float, np.float32, np.float64, np.int32, np.int64))
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
    """

    def __init__(
        self,
        path: tuple[Any, ...],
        spec: specs.Array,
        structure: Any,
        declared: np.dtype,
    ):
        """Takes the path and spec of the array, the nest of specs, and its dtype."""
        self.path = path
        lengths = _list_lengths(path, structure)
        self.read: Callable[[Any], Any] = functools.partial(_follow, path, lengths)
        if len(path) == 1 and lengths == [None]:
            self.read = operator.itemgetter(path[0])  # equivalent, faster
        self.shape = spec.shape
        self.declared = declared
        self.dtype = spec.dtype
        self.is_whole = declared.kind in "biu"
        self._low, self._high = _read_bounds(spec, declared)
        self._is_uniform = self._low.ndim == self._high.ndim == 0
        limits = _limits(declared if self.is_whole else self.dtype)
        self._is_free = bool(
            np.all(self._low == limits[0]) and np.all(self._high == limits[1])
        )

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
        if (self._is_free and array.dtype == self.declared) or self._allows(array):
            return array.astype(self.dtype, copy=False)
        return None

    def find_violation(self, array: np.ndarray) -> tuple[int, ...] | None:
        """Returns the index of the first value that is not allowed, or None."""
        fits = (array >= self._low) & (array <= self._high)
        return None if fits.all() else tuple(map(int, np.argwhere(~fits)[0]))

    def describe_bounds(self, index: tuple[int, ...]) -> str:
        """Describes the allowed values at an index."""
        low = np.broadcast_to(self._low, self.shape)[index]
        high = np.broadcast_to(self._high, self.shape)[index]
        if not self.is_whole and (low, high) == _limits(self.dtype):
            return "a finite number"
        return f"{low} to {high}"

    def describe_place(self) -> str:
        """Returns ` at 'a/b'`; an empty string if the observation is a single array."""
        return f" at {'/'.join(map(str, self.path))!r}" if self.path else ""

    def _allows(self, array: np.ndarray) -> bool:
        if self._is_free and not self.is_whole:
            # NaN and infinity propagate to the sum of squares. Large values may
            # overflow it; only then is each value checked.
            flat = array.ravel()
            return np.dot(flat, flat) < _LARGEST or bool(np.isfinite(array).all())
        if not array.size:
            return True
        if self._is_uniform:  # both comparisons are false for NaN
            return bool(array.min() >= self._low and array.max() <= self._high)
        return bool(((array >= self._low) & (array <= self._high)).all())


def make_leaves(structure: Any, own: Any = None) -> list[Leaf]:
    """Returns the leaves of a nest of specs.

    `own` is the nest declared by the environment itself, if its dtypes differ.
    """
    leaves = []
    for path, spec in tree.flatten_with_path(structure):
        try:
            declared = _follow(path, [None] * len(path), own).dtype
        except MISFITS:  # `read_array` will report what is missing.
            declared = spec.dtype
        leaves.append(Leaf(path, spec, structure, declared))
    return leaves


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
        except MISFITS:
            array = None
        if array is None:  # one by one, to name the environment
            each = enumerate(indices)
            array = np.stack([read_array(leaf, pick(k), i, call) for k, i in each])
        arrays.append(array)
    return arrays


def read_array(leaf: Leaf, observation: Any, index: int, call: str) -> np.ndarray:
    """Returns one array in the carried dtype; raises EnvironmentFault for a fault."""
    begin = f"environment {index} returned an observation from {call}"
    where = leaf.describe_place()
    expected = f"expected the shape {leaf.shape} of {leaf.declared}"
    try:
        value = leaf.read(observation)
    except MISFITS as error:
        why = f": {error}" if isinstance(error, _WrongLength) else ""
        text = f"{begin} that has nothing{where}{why}; {expected}, got "
        raise EnvironmentFault(text + show(observation), "observations") from None
    try:
        array = np.asarray(value)
    except MISFITS:  # lists of different lengths
        array = np.array(None)
    if array.shape != leaf.shape or array.dtype.kind not in "biuf":
        got = f"the shape {array.shape} of {array.dtype}"
        got = got if array.dtype.kind in "biuf" else show(value)
        text = f"{begin} that does not fit its spec{where}; {expected}, got {got}"
        raise EnvironmentFault(text, "observations")
    with np.errstate(over="ignore"):
        cast = array if leaf.is_whole else array.astype(leaf.dtype)
    violation = leaf.find_violation(cast)
    if violation is not None:
        text = f"{begin} outside its spec{where}: {_name_number(array, violation)}"
        rule = "bounds" if np.isfinite(array[violation]) else "finite numbers"
        text += f"; expected {leaf.describe_bounds(violation)}"
        raise EnvironmentFault(text, rule)
    if leaf.is_whole and array.dtype.kind == "f":
        fractions = np.argwhere(array != np.rint(array))
        if len(fractions):
            number = _name_number(array, tuple(map(int, fractions[0])))
            text = f"{begin} that does not fit its spec{where}: {number}; expected "
            text += f"a whole number, since the spec has {leaf.declared}"
            raise EnvironmentFault(text, "observations")
    return cast.astype(leaf.dtype)


def read_rewards(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float64`; raises EnvironmentFault if one is not a finite float32."""
    return _read_numbers(
        values, first, "reward", -_LARGEST, _LARGEST, "a finite number"
    )


def read_discounts(values: Sequence[Any], first: int = 0) -> np.ndarray:
    """Returns `[E] float32`, 1 for None; raises EnvironmentFault unless from 0 to 1."""
    numbers = [1.0 if value is None else value for value in values]
    read = _read_numbers(numbers, first, "discount", 0.0, 1.0, "a number from 0 to 1")
    return read.astype(np.float32)


def read_number(value: Any) -> float | None:
    """Returns a number, or an array's only one, as a float; None for anything else."""
    if isinstance(value, float):
        return value
    if isinstance(value, (list, tuple)):
        return None
    try:
        array = np.asarray(value)
        # float() would also accept text and complex numbers.
        if array.dtype.kind in "biuf" and array.size == 1:
            return float(array.reshape(()))
    except MISFITS:
        pass
    return None


def check_time_step(timestep: Any, index: int, call: str) -> None:
    """Raises EnvironmentFault unless `timestep` is a valid dm_env time step."""
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


def refuse_first_step(index: int) -> EnvironmentFault:
    """Returns the error for a step that started an episode."""
    return EnvironmentFault(
        f"environment {index} answered step() with a first time step; an episode has "
        "to end with a last one, and reset() has to be called before step()",
        "steps",
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


def _read_numbers(
    values: Sequence[Any], first: int, what: str, low: float, high: float, expected: str
) -> np.ndarray:
    with contextlib.suppress(OverflowError):  # of a huge int
        if _NUMBERS.issuperset(map(type, values)):
            numbers = list(map(float, values))
            total = sum(numbers)
            # With a NaN or an infinity the difference is not 0.
            if total - total == 0.0 and low <= min(numbers) and max(numbers) <= high:
                return np.array(numbers)
    read = np.empty(len(values))
    for place, value in enumerate(values):
        number = read_number(value)
        if number is None or not low <= number <= high:
            raise EnvironmentFault(
                f"environment {first + place} returned the {what} {show(value)} from "
                f"step(); expected {expected}",
                f"{what}s",
            )
        read[place] = number
    return read


class _WrongLength(IndexError):
    """A tuple's length differs from its spec."""


def _list_lengths(path: tuple[Any, ...], structure: Any) -> list[int | None]:
    """Returns the length of each sequence on a path; None for a dict."""
    lengths: list[int | None] = []
    for key in path:
        lengths.append(len(structure) if isinstance(structure, (tuple, list)) else None)
        structure = _follow((key,), [None], structure)
    return lengths


def _follow(path: tuple[Any, ...], lengths: Sequence[int | None], nest: Any) -> Any:
    for key, length in zip(path, lengths, strict=True):
        if length is not None and len(nest) != length:
            raise _WrongLength(f"it has {len(nest)} parts instead of {length}")
        is_field = isinstance(key, str) and hasattr(nest, "_fields")
        nest = getattr(nest, key) if is_field else nest[key]
    return nest


def _name_number(array: np.ndarray, index: tuple[int, ...]) -> str:
    at = f"[{', '.join(map(str, index))}]" if index else ""
    return f"observation{at} is {array[index]}"


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return 0, 1
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return info.min, info.max


def _read_bounds(
    spec: specs.Array, declared: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest allowed values, `[]` or of the spec's shape.

    Integers must fit both the declared and the carried dtype.
    """
    least, most = _limits(spec.dtype)
    is_whole = declared.kind in "biu"
    if is_whole:
        own = _limits(declared)
        least, most = max(least, own[0]), min(most, own[1])
    low, high = np.asarray(least), np.asarray(most)
    if isinstance(spec, specs.BoundedArray):
        low = np.clip(np.asarray(spec.minimum), least, most)
        high = np.clip(np.asarray(spec.maximum), least, most)
    return (low.astype(np.int64), high.astype(np.int64)) if is_whole else (low, high)
