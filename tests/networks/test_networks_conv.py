import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from distrl.networks.conv import make_conv
from distrl.types import EnvironmentSpec


def test_one_convolution_by_hand():
    spec = EnvironmentSpec(specs.Array((2, 3), np.float32), num_actions=1)
    network = make_conv(spec, channels=[1], kernel=2, hidden_sizes=[])
    network = hk.transform_with_state(network)
    board = np.array([[[1.0, 2.0, -3.0], [0.0, 1.0, -5.0]]], np.float32)
    params, state = network.init(jax.random.PRNGKey(0), board, True)
    params = jax.tree.map(jnp.ones_like, params)
    # Windows, with bias 1: 1+2+0+1+1 = 5, and 2-3+1-5+1 = -4, which the ReLU cuts
    # to 0. The linear layer of ones, with bias 1: 5 + 0 + 1 = 6.
    q, _ = network.apply(params, state, None, board, False)
    np.testing.assert_allclose(q, [[6.0]])


def test_default_is_the_network_of_minatar():
    spec = EnvironmentSpec(specs.Array((10, 10, 4), np.uint8), num_actions=6)
    network = hk.transform_with_state(make_conv(spec))
    zeros = np.zeros((1, 10, 10, 4), np.uint8)
    params, _ = network.init(jax.random.PRNGKey(0), zeros, True)
    shapes = [layer["w"].shape for layer in params.values()]
    # 3x3 without padding leaves 8x8, of 16 channels: 1024 features.
    assert shapes == [(3, 3, 4, 16), (1024, 128), (128, 6)]


def test_bytes_give_what_their_255th_gives():
    spec = EnvironmentSpec(specs.Array((4, 4), np.uint8), num_actions=2)
    network = hk.transform_with_state(make_conv(spec))
    board = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 17
    params, state = network.init(jax.random.PRNGKey(0), board, True)
    q, _ = network.apply(params, state, None, board, False)
    floats = board.astype(np.float32) / 255
    expected, _ = network.apply(params, state, None, floats, False)
    np.testing.assert_allclose(q, expected, rtol=1e-5)
