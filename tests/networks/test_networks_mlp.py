import haiku as hk
import jax
import numpy as np
from dm_env import specs

from distrl.networks.mlp import make_mlp
from distrl.types import EnvironmentSpec


def test_without_hidden_layers_it_is_linear():
    spec = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)
    network = hk.transform_with_state(make_mlp(spec, hidden_sizes=[]))
    observation = np.array([[1.0, 2.0], [0.0, -1.0]], np.float32)
    params, state = network.init(jax.random.PRNGKey(0), observation, True)
    (layer,) = params.values()
    layer = {
        "w": np.array([[1.0, 0.0, 2.0], [3.0, 1.0, -1.0]], np.float32),
        "b": np.array([0.0, 10.0, 0.5], np.float32),
    }
    params = dict.fromkeys(params, layer)
    # Row 0: [1*1 + 2*3 + 0, 1*0 + 2*1 + 10, 1*2 - 2*1 + 0.5] = [7, 12, 0.5].
    # Row 1: [-3 + 0, -1 + 10, 1 + 0.5] = [-3, 9, 1.5].
    for is_training in (True, False):
        q, new_state = network.apply(params, state, None, observation, is_training)
        np.testing.assert_allclose(q, [[7.0, 12.0, 0.5], [-3.0, 9.0, 1.5]])
        assert new_state == {}


def test_hidden_layers_have_their_sizes():
    spec = EnvironmentSpec(specs.Array((2, 2), np.uint8), num_actions=3)
    network = hk.transform_with_state(make_mlp(spec, hidden_sizes=(8, 5)))
    zeros = np.zeros((1, 2, 2), np.uint8)
    params, _ = network.init(jax.random.PRNGKey(0), zeros, True)
    assert [layer["w"].shape for layer in params.values()] == [(4, 8), (8, 5), (5, 3)]


def test_bytes_give_what_their_255th_gives():
    bytes_spec = EnvironmentSpec(specs.Array((3,), np.uint8), num_actions=2)
    network = hk.transform_with_state(make_mlp(bytes_spec))
    observation = np.array([[0, 100, 255]], np.uint8)
    params, state = network.init(jax.random.PRNGKey(0), observation, True)
    q, _ = network.apply(params, state, None, observation, False)
    floats = observation.astype(np.float32) / 255
    expected, _ = network.apply(params, state, None, floats, False)
    np.testing.assert_allclose(q, expected, rtol=1e-6)
