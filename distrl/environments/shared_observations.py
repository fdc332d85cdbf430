"""Observations of E environments in memory that several processes share."""

import mmap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from distrl.environments.reading import Leaf

_ALIGNMENT = 64


class SharedObservations(NamedTuple):
    """Arrays in shared memory, one `[E, ...]` for each leaf.

    Attributes:
      observation_t: what a step, or a reset of all, brought.
      first: where an episode ended, the first observation of the next one.
    """

    observation_t: list[np.ndarray]
    first: list[np.ndarray]


def measure_observations(leaves: Sequence[Leaf], count: int) -> int:
    """Returns the bytes that observations of E = `count` environments need."""
    return 2 * sum(_measure(leaf, count) for leaf in leaves)


def map_observations(
    descriptor: int, leaves: Sequence[Leaf], count: int
) -> SharedObservations:
    """Returns the arrays in a file of `measure_observations` bytes.

    The descriptor may be closed then. The memory is given back with the last array.
    """
    memory = mmap.mmap(descriptor, measure_observations(leaves, count))
    arrays: list[np.ndarray] = []
    offset = 0
    for leaf in [*leaves, *leaves]:
        shape = (count, *leaf.shape)
        arrays.append(np.ndarray(shape, leaf.dtype, memory, offset))
        offset += _measure(leaf, count)
    return SharedObservations(arrays[: len(leaves)], arrays[len(leaves) :])


def _measure(leaf: Leaf, count: int) -> int:
    size = count * int(np.prod(leaf.shape)) * leaf.dtype.itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT
