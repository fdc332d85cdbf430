import os

import numpy as np
import pytest
from dm_env import specs

from distrl.environments.reading import find_leaves
from distrl.environments.shared_observations import (
    map_observations,
    measure_observations,
)

LEAVES = find_leaves(
    {
        "a": specs.Array((3,), np.uint8),
        "b": specs.Array((), np.float32),
        "empty": specs.Array((0, 2), np.float32),
        "c": specs.Array((2, 5), np.int32),
    }
)


@pytest.fixture
def descriptor():
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, measure_observations(LEAVES, 4))
    yield descriptor
    os.close(descriptor)


def test_what_one_writes_the_other_reads_and_nothing_overlaps(descriptor):
    written = map_observations(descriptor, LEAVES, 4)
    read = map_observations(descriptor, LEAVES, 4)
    for number, array in enumerate([*written.observation_t, *written.first]):
        array[...] = number
    for number, array in enumerate([*read.observation_t, *read.first]):
        leaf = LEAVES[number % len(LEAVES)]
        assert (array.shape, array.dtype) == ((4, *leaf.shape), leaf.dtype)
        assert (array == number).all()


def test_it_stays_when_the_descriptor_is_closed():
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, measure_observations(LEAVES, 4))
    shared = map_observations(descriptor, LEAVES, 4)
    os.close(descriptor)
    shared.first[1][:] = 2.5
    assert shared.first[1].tolist() == [2.5] * 4
