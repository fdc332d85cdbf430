"""The values that packages hand to each other."""

import dataclasses
import pickle

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.types import EnvironmentSpec, Transition


def test_a_transition_is_a_nest_for_jax_in_the_order_of_time():
    transition = Transition({"x": 1, "y": 2}, 3, 4, 5, {"x": 6, "y": 7})
    assert jax.tree.leaves(transition) == [1, 2, 3, 4, 5, 6, 7]
    doubled = jax.tree.map(lambda x: 2 * x, transition)
    assert isinstance(doubled, Transition)
    assert doubled.observation_t == {"x": 12, "y": 14}


def test_a_spec_travels_between_nodes_and_nobody_changes_it():
    spec = EnvironmentSpec({"x": specs.Array((2,), np.float32)}, num_actions=3)
    copied = pickle.loads(pickle.dumps(spec))
    assert copied.num_actions == 3
    assert copied.observation["x"].shape == (2,)
    assert copied.observation["x"].dtype == np.float32
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.num_actions = 4
