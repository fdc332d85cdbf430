"""The convolutional torsos: shapes, sizes and what does not fit."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.errors import ConfigError
from distrl.networks.convolutional import make_atari, make_conv
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec

FRAMES = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), num_actions=4)
SMALL = {"channels": [2], "kernels": [2], "strides": [2], "hidden_sizes": [3]}


def test_default_is_the_network_of_the_paper():
    network = make_value_network(Config(network=NetworkConfig("atari")), FRAMES)
    params, _ = jax.eval_shape(network.init, jax.random.PRNGKey(0))
    shapes = [layer["w"].shape for layer in params.values()]
    # Without padding 84 becomes 20, 9, 7: 7 * 7 * 64 = 3136 features.
    assert shapes == [
        *((8, 8, 4, 32), (4, 4, 32, 64), (3, 3, 64, 64)),
        *((3136, 512), (512, 4)),
    ]
    # 8224 + 32832 + 36928 + 1606144 + 2052, weights and biases of each layer.
    assert sum(x.size for x in jax.tree.leaves(params)) == 1_686_180


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 6), np.uint8), ((4, 6, 3), np.float32)]
)
def test_one_image_at_a_time_gives_what_the_batch_gives(shape, dtype):
    spec = EnvironmentSpec(specs.Array(shape, dtype), num_actions=2)
    torso = hk.transform_with_state(make_atari(spec, **SMALL))
    images = np.arange(5 * np.prod(shape)).reshape(5, *shape).astype(dtype)
    params, state = torso.init(jax.random.PRNGKey(0), images, True)
    features, _ = torso.apply(params, state, None, images, False)
    assert (features.shape, features.dtype) == ((5, 3), np.float32)
    for i in range(5):
        one, _ = torso.apply(params, state, None, images[i : i + 1], True)
        np.testing.assert_allclose(one[0], features[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ({"channels": [32, 64]}, ["they have 2, 3 and 3 numbers"]),
        ({"kernels": 8}, ["kernels is 8", "list of positive integers"]),
        ({"strides": [4, 2, 0]}, ["strides is [4, 2, 0]"]),
        ({"hidden_sizes": 512}, ["hidden_sizes is 512"]),
        # (3 - 1) * 2 + 4 = 8, as ever; (8 - 1) * 4 + 84 = 112.
        ({"kernels": [84, 4, 3]}, ["112 by 112", "[84, 84, 4] uint8"]),
    ],
)
def test_bad_arguments_are_told(args, parts):
    with pytest.raises(ConfigError) as caught:
        make_atari(FRAMES, **args)
    for part in ["network.args", *parts]:
        assert part in str(caught.value)


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
