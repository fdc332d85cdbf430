import haiku as hk
import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.errors import ConfigError
from distrl.networks.mlp import make_mlp
from distrl.types import EnvironmentSpec


def test_without_hidden_layers_it_is_the_flattened_observation():
    spec = EnvironmentSpec(
        {"board": specs.Array((2, 2), np.uint8), "speed": specs.Array((), np.int32)}, 3
    )
    torso = hk.transform_with_state(make_mlp(spec, hidden_sizes=[]))
    board = np.array([[[0, 255], [51, 102]]] * 2, np.uint8)
    observation = {"board": board, "speed": np.array([7, -3], np.int32)}
    params, state = torso.init(jax.random.PRNGKey(0), observation, True)
    assert (params, state) == ({}, {})
    features, _ = torso.apply(params, state, None, observation, False)
    expected = [[0.0, 1.0, 0.2, 0.4, 7.0], [0.0, 1.0, 0.2, 0.4, -3.0]]
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_one_hidden_layer_by_hand():
    spec = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=5)
    torso = hk.transform_with_state(make_mlp(spec, hidden_sizes=[3]))
    observation = np.array([[1.0, 2.0], [0.0, -1.0]], np.float32)
    params, state = torso.init(jax.random.PRNGKey(0), observation, True)
    layer = {
        "w": np.array([[1.0, 0.0, 2.0], [3.0, 1.0, -1.0]], np.float32),
        "b": np.array([0.0, 10.0, 0.5], np.float32),
    }
    params = dict.fromkeys(params, layer)
    # Row 0: [1*1 + 2*3 + 0, 1*0 + 2*1 + 10, 1*2 - 2*1 + 0.5] = [7, 12, 0.5].
    # Row 1: [-3 + 0, -1 + 10, 1 + 0.5] = [-3, 9, 1.5], and the ReLU cuts -3 to 0.
    for is_training in (True, False):
        features, new_state = torso.apply(params, state, None, observation, is_training)
        np.testing.assert_allclose(features, [[7.0, 12.0, 0.5], [0.0, 9.0, 1.5]])
        assert new_state == {}


def test_hidden_layers_have_their_sizes():
    spec = EnvironmentSpec(specs.Array((2, 2), np.uint8), num_actions=3)
    torso = hk.transform_with_state(make_mlp(spec, hidden_sizes=(8, 5)))
    zeros = np.zeros((1, 2, 2), np.uint8)
    params, _ = torso.init(jax.random.PRNGKey(0), zeros, True)
    assert [layer["w"].shape for layer in params.values()] == [(4, 8), (8, 5)]


def test_discrete_observations_are_one_hot():
    spec = EnvironmentSpec(specs.DiscreteArray(16), num_actions=3)
    torso = hk.transform_with_state(make_mlp(spec, hidden_sizes=[]))
    features, _ = torso.apply({}, {}, None, np.array([3, 15], np.int32), False)
    np.testing.assert_array_equal(features, np.eye(16)[[3, 15]])
    with pytest.raises(ConfigError, match="'mlp' encodes .* Use 'mixed'"):
        make_mlp(EnvironmentSpec(specs.DiscreteArray(2000), 3))
