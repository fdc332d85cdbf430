"""A worker's environments, without its process."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_environments import EPISODES, Scripted

from distrl.environments import VectorEnvironment, make_spec
from distrl.environments.reading import find_leaves
from distrl.environments.shared_observations import (
    map_observations,
    measure_observations,
)
from distrl.environments.worker import WorkerEnvironment
from distrl.errors import EnvironmentFault

SPEC = make_spec(Scripted([[(0.0, 1.0)]]))
LEAVES = find_leaves(SPEC.observation)


def share(count):
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, measure_observations(LEAVES, count))
    shared = map_observations(descriptor, LEAVES, count)
    os.close(descriptor)
    return shared


@settings(deadline=None, max_examples=60)
@given(
    scripts=st.lists(EPISODES, min_size=1, max_size=4),
    split=st.integers(0, 4),
    steps=st.integers(1, 12),
)
def test_what_is_shared_is_what_a_vector_returns(scripts, split, steps):
    count = len(scripts)
    vector = VectorEnvironment([Scripted(script) for script in scripts], SPEC)
    shared = share(count)
    parts = [
        (slice(first, last), WorkerEnvironment(environments, SPEC, first, shared))
        for first, last in ((0, min(split, count)), (min(split, count), count))
        if (environments := [Scripted(script) for script in scripts[first:last]])
    ]
    for _, part in parts:
        part.reset_shared()
    np.testing.assert_array_equal(shared.observation_t[0], vector.reset())
    for _ in range(steps):
        action = np.ones(count, np.int32)
        expected = vector.step(action)
        for rows, part in parts:
            last, reward_t, discount_t = part.step_shared(action[rows], [])
            np.testing.assert_array_equal(last, expected.last_t[rows])
            np.testing.assert_array_equal(reward_t, expected.reward_t[rows])
            np.testing.assert_array_equal(discount_t, expected.discount_t[rows])
        np.testing.assert_array_equal(shared.observation_t[0], expected.observation_t)
        ended = np.flatnonzero(expected.last_t)
        np.testing.assert_array_equal(
            shared.first[0][ended], expected.observation[ended]
        )


class BadlyBegun(Scripted):
    """The first observation of a later episode is not finite."""

    def reset(self):
        timestep = super().reset()
        if self._episode == 0:
            return timestep
        return timestep._replace(observation=np.array([0, np.nan]))


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (Scripted([[(None, 1.0)]]), "environment 6 returned the reward None"),
        (Scripted([[(0.0, 3.0)]]), "environment 6 returned the discount 3"),
        (BadlyBegun([[(0.0, 1.0)]]), r"environment 6 .*observation\[1\] is nan"),
    ],
)
def test_a_fault_has_the_index_in_the_actor(faulty, words):
    environments = [Scripted([[(0.0, 1.0)]]), faulty]
    part = WorkerEnvironment(environments, SPEC, 5, share(9))
    part.reset_shared()
    with pytest.raises(EnvironmentFault, match=words):
        part.step_shared(np.zeros(2, np.int32), [])
