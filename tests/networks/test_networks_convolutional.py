"""Torsos for images: published networks, hand calculations and rejected shapes."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.environments.spec import CategoricalArray
from distrl.errors import ConfigError
from distrl.launch.checking import check_agent
from distrl.networks import make_torso
from distrl.networks.convolutional import (
    Layer,
    convolve,
    find_image,
    make_atari,
    make_conv,
    make_impala,
)
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec

FRAMES = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), num_actions=4)
BOARD = EnvironmentSpec(specs.Array((3, 3), np.float32), num_actions=2)


def init_shapes(torso, observation):
    init = hk.transform_with_state(torso).init
    params, _ = jax.eval_shape(
        lambda key: init(key, observation, True), jax.random.PRNGKey(0)
    )
    return params


def test_default_atari_network_matches_the_paper():
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


def test_default_conv_network_matches_minatar():
    spec = EnvironmentSpec(specs.Array((10, 10, 4), np.uint8), num_actions=6)
    params = init_shapes(make_conv(spec), np.zeros((1, 10, 10, 4), np.uint8))
    shapes = [layer["w"].shape for layer in params.values()]
    # 3x3 without padding leaves 8x8, of 16 channels: 1024 features.
    assert shapes == [(3, 3, 4, 16), (1024, 128)]


def test_default_impala_network_matches_the_paper():
    zeros = np.zeros((1, 84, 84, 4), np.uint8)
    params = init_shapes(make_impala(FRAMES), zeros)
    # Fifteen convolutions and a layer of 256, on 84, 42, 21, 11 squared times 32.
    assert len(params) == 16
    assert params["mlp/~/linear_0"]["w"].shape == (11 * 11 * 32, 256)
    # A 3x3 convolution from n to m has (9 n + 1) m numbers: 16 from 4 and 4 times
    # 16 from 16; 32 from 16 and 4 times 32 from 32; 5 times 32 from 32.
    convolutions = 592 + 4 * 2320 + 4640 + 4 * 9248 + 5 * 9248
    sizes = convolutions + 3872 * 256 + 256
    assert sum(x.size for x in jax.tree.leaves(params)) == sizes


def test_convolution_matches_hand_calculation():
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


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        # A kernel of ones on 1 2 3 / 4 5 6 / 7 8 9: the only position at stride 2.
        ("VALID", [12.0]),
        # Zeros at the right and below: 1+2+4+5, 3+6, 7+8, 9.
        ("SAME", [12.0, 9.0, 15.0, 9.0]),
    ],
)
def test_stride_and_padding_match_hand_calculation(padding, expected):
    image = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    network = hk.without_apply_rng(
        hk.transform(lambda x: convolve(x, [Layer(1, 2, 2)], padding, name="here"))
    )
    assert list(network.init(jax.random.PRNGKey(0), image)) == ["here"]
    params = {"here": {"w": jnp.ones((2, 2, 1, 1)), "b": jnp.zeros(1)}}
    np.testing.assert_allclose(network.apply(params, image), [expected])


def test_width_multiplies_the_channels():
    args = {"channels": [2, 3], "blocks": 1, "hidden_sizes": []}
    torso = make_impala(BOARD, width=4, **args)
    params = init_shapes(torso, np.zeros((1, 3, 3), np.float32))
    shapes = [layer["w"].shape[2:] for layer in params.values()]
    assert shapes == [(1, 8), (8, 8), (8, 8), (8, 12), (12, 12), (12, 12)]


def test_impala_section_matches_hand_calculation():
    torso = make_impala(BOARD, channels=[1], blocks=1, hidden_sizes=[])
    torso = hk.transform_with_state(torso)
    board = np.array([[[1.0, -2, 3], [-4, 5, -6], [7, -8, -9]]], np.float32)
    # The first convolution passes the image on: only its middle weight is 1.
    middle = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    params = {
        "conv2_d": {"w": middle, "b": jnp.zeros(1)},
        "conv2_d_1": {"w": 2 * middle, "b": jnp.array([-9.0])},
        "conv2_d_2": {"w": 10 * middle, "b": jnp.array([-10.0])},
    }
    features, _ = torso.apply(params, {}, None, board, False)
    # The pooling of 3x3 at stride 2, padded by one on each side, keeps the largest of
    # each corner's four: 5, 5, 7, 5.
    # A residual block adds 10 ReLU(2 ReLU(x) - 9) - 10: 2*5-9 = 1 gives 0, and
    # 2*7-9 = 5 gives 40. So 5, 5, 7 + 40 = 47, 5.
    np.testing.assert_allclose(features, [[5.0, 5.0, 47.0, 5.0]])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"channels": [32, 64]}, "they have 2, 3 and 3 numbers"),
        # (3 - 1) * 2 + 4 = 8, as by default; (8 - 1) * 4 + 84 = 112.
        ({"kernels": [84, 4, 3]}, r"112 by 112 at least.*\[84, 84, 4\] uint8"),
    ],
)
def test_convolutions_that_do_not_fit_are_rejected(args, message):
    with pytest.raises(ConfigError, match=message):
        make_atari(FRAMES, **args)


def test_smallest_image_fits_and_a_smaller_one_is_rejected():
    # Backwards: 3 cells; (3 - 1) * 2 + 4 = 8; (8 - 1) * 4 + 8 = 36.
    make_atari(EnvironmentSpec(specs.Array((36, 40), np.uint8), 2))
    with pytest.raises(ConfigError, match="36 by 36 at least.*40, 35, 3. uint8"):
        make_atari(EnvironmentSpec(specs.Array((40, 35, 3), np.uint8), 2))


@pytest.mark.parametrize(
    "observation",
    [
        specs.Array((5,), np.float32),
        specs.Array((), np.float32),
        specs.Array((2, 3, 4, 5), np.float32),
        specs.Array((0, 3), np.float32),
        {"left": specs.Array((5, 5), np.uint8), "right": specs.Array((5, 5), np.uint8)},
        (specs.Array((5, 5), np.uint8), specs.Array((2, 3, 4, 5), np.float32)),
        (specs.Array((5,), np.uint8), specs.Array((3,), np.float32)),
    ],
)
def test_observation_without_exactly_one_image_is_rejected(observation):
    with pytest.raises(ConfigError, match=r"'impala' takes one image .*'mixed'"):
        find_image("impala", EnvironmentSpec(observation, 2))


@pytest.mark.parametrize("factory", ["conv", "atari", "impala", "mixed"])
@pytest.mark.parametrize("shape", [(3, 40, 48), (4, 36, 36)])
def test_ambiguous_channel_axis_requires_a_layout(factory, shape):
    spec = EnvironmentSpec({"image": specs.Array(shape, np.uint8)}, 2)
    with pytest.raises(ConfigError, match="first axis is shorter .* set layout to chw"):
        make_torso(NetworkConfig(factory), spec)
    with pytest.raises(ConfigError, match="layout is 'nchw'; it has to be hwc"):
        make_torso(NetworkConfig(factory, {"layout": "nchw"}), spec)
    first = NetworkConfig(factory, {"layout": "chw"})
    check_agent(Config(network=first), spec)
    last = EnvironmentSpec({"image": specs.Array((*shape[1:], shape[0]), np.uint8)}, 2)
    image = np.random.default_rng(0).integers(256, size=(2, *shape)).astype(np.uint8)
    outputs = []
    for config, each, observation in [
        (first, spec, image),
        (NetworkConfig(factory), last, np.moveaxis(image, 1, -1)),
    ]:
        torso = hk.transform_with_state(make_torso(config, each))
        observation = {"image": observation}
        params, state = torso.init(jax.random.PRNGKey(0), observation, True)
        outputs.append(torso.apply(params, state, None, observation, False)[0])
    np.testing.assert_allclose(*outputs, rtol=1e-5)


def test_other_leaves_are_appended_to_image_features():
    spec = EnvironmentSpec(
        {
            "cells": CategoricalArray((1, 2), np.int32, 0, [[1, 2]]),
            "image": specs.Array((1, 2), np.float32),
            "last_action": specs.Array((2,), np.float32),
            "last_reward": specs.Array((), np.float32),
        },
        2,
    )
    assert find_image("conv", spec) is spec.observation["image"]
    batch = {
        "cells": np.array([[[1, 2]], [[0, 0]]], np.int32),
        "image": np.array([[[1, 2]], [[3, 4]]], np.float32),
        "last_action": np.array([[0, 1], [1, 0]], np.float32),
        "last_reward": np.array([0.5, -3], np.float32),
    }
    torso = make_conv(spec, channels=[1], kernel=1, hidden_sizes=[])
    params = {"conv2_d": {"w": jnp.ones((1, 1, 1, 1)), "b": jnp.zeros(1)}}
    features, _ = hk.transform_with_state(torso).apply(params, {}, None, batch, False)
    # The image, the one-hot integers (of two values and of three), the others.
    expected = [[1, 2, 0, 1, 0, 0, 1, 0, 1, 0.5], [3, 4, 1, 0, 1, 0, 0, 1, 0, -3]]
    np.testing.assert_array_equal(features, expected)
    spec.observation["room"] = specs.DiscreteArray(2000)
    with pytest.raises(ConfigError, match="'conv' encodes .* at most 1,024 .* 2,000"):
        make_conv(spec)
