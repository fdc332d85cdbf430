import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from distrl.networks.conv import make_conv
from distrl.types import EnvironmentSpec


def test_one_convolution_by_hand():
    spec = EnvironmentSpec(specs.Array((2, 3), np.float32), num_actions=1)
    torso = make_conv(spec, channels=[1], kernel=2, hidden_sizes=[1])
    torso = hk.transform_with_state(torso)
    board = np.array([[[1.0, 2.0, -3.0], [0.0, 1.0, -5.0]]], np.float32)
    params, state = torso.init(jax.random.PRNGKey(0), board, True)
    params = jax.tree.map(jnp.ones_like, params)
    # Windows, with bias 1: 1+2+0+1+1 = 5, and 2-3+1-5+1 = -4, which the ReLU cuts
    # to 0. The hidden layer of ones, with bias 1: 5 + 0 + 1 = 6.
    for is_training in (True, False):
        features, _ = torso.apply(params, state, None, board, is_training)
        np.testing.assert_allclose(features, [[6.0]])


def test_default_is_the_network_of_minatar():
    spec = EnvironmentSpec(specs.Array((10, 10, 4), np.uint8), num_actions=6)
    torso = hk.transform_with_state(make_conv(spec))
    zeros = np.zeros((1, 10, 10, 4), np.uint8)
    params, _ = jax.eval_shape(
        lambda key: torso.init(key, zeros, True), jax.random.PRNGKey(0)
    )
    shapes = [layer["w"].shape for layer in params.values()]
    # 3x3 without padding leaves 8x8, of 16 channels: 1024 features.
    assert shapes == [(3, 3, 4, 16), (1024, 128)]


def test_bytes_give_what_their_255th_gives():
    spec = EnvironmentSpec(specs.Array((4, 4), np.uint8), num_actions=2)
    torso = hk.transform_with_state(make_conv(spec))
    board = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 17
    params, state = torso.init(jax.random.PRNGKey(0), board, True)
    features, _ = torso.apply(params, state, None, board, False)
    floats = board.astype(np.float32) / 255
    spec = EnvironmentSpec(specs.Array((4, 4), np.float32), num_actions=2)
    torso = hk.transform_with_state(make_conv(spec))
    expected, _ = torso.apply(params, state, None, floats, False)
    assert features.max() > 0
    np.testing.assert_allclose(features, expected, rtol=1e-5)
