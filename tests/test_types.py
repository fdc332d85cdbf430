"""Values that packages pass to each other."""

import dataclasses
import pickle

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.types import EnvironmentSpec, Transition


def test_transition_is_jax_tree_in_time_order():
    transition = Transition({"x": 1, "y": 2}, 3, 4, 5, {"x": 6, "y": 7})
    assert jax.tree.leaves(transition) == [1, 2, 3, 4, 5, 6, 7]
    doubled = jax.tree.map(lambda x: 2 * x, transition)
    assert isinstance(doubled, Transition)
    assert doubled.observation_t == {"x": 12, "y": 14}


def test_spec_is_picklable_and_immutable():
    spec = EnvironmentSpec({"x": specs.Array((2,), np.float32)}, num_actions=3)
    copied = pickle.loads(pickle.dumps(spec))
    assert copied.num_actions == 3
    assert copied.observation["x"].shape == (2,)
    assert copied.observation["x"].dtype == np.float32
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.num_actions = 4
