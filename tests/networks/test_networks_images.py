import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import NetworkConfig
from distrl.environments.spec import CategoricalArray
from distrl.errors import ConfigError
from distrl.networks import check_network, make_torso
from distrl.networks.convolutional import check_convolutions, make_layers
from distrl.networks.images import (
    Layer,
    append_others,
    convolve,
    find_image,
    to_image,
)
from distrl.networks.observations import encode_observation
from distrl.types import EnvironmentSpec

NATURE = make_layers([32, 64, 64], [8, 4, 3], [4, 2, 1])


def make_spec(*shape):
    return EnvironmentSpec(specs.Array(shape, np.uint8), num_actions=2)


def test_layers_are_read_side_by_side():
    assert make_layers([8, 16], (4, 3), [2, 1]) == [Layer(8, 4, 2), Layer(16, 3, 1)]
    assert make_layers([], [], []) == []


def test_the_smallest_image_is_found():
    # Backwards: 3 cells; (3 - 1) * 2 + 4 = 8; (8 - 1) * 4 + 8 = 36.
    check_convolutions("atari", make_spec(36, 40), NATURE)
    with pytest.raises(ConfigError, match="36 by 36 at least.*40, 35, 3. uint8"):
        check_convolutions("atari", make_spec(40, 35, 3), NATURE)


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
def test_what_has_not_one_image_is_refused(observation):
    with pytest.raises(ConfigError, match=r"'impala' takes one image .*'mixed'"):
        find_image("impala", EnvironmentSpec(observation, 2))


def test_images_get_a_channel():
    image = to_image(jnp.array([[[0.0, 0.2]]]))
    np.testing.assert_array_equal(image, np.float32([[[[0.0], [0.2]]]]))
    floats = jnp.array([[[[3.0], [-1.0]]]])
    np.testing.assert_array_equal(to_image(floats), floats)


def test_channels_that_come_first_are_moved():
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(to_image(image, "hwc"), image)
    moved = to_image(image, "chw")
    assert moved.shape == (1, 3, 4, 2)
    np.testing.assert_array_equal(moved[0, ..., 1], image[0, 1])


@pytest.mark.parametrize("factory", ["conv", "atari", "impala", "mixed"])
@pytest.mark.parametrize("shape", [(3, 40, 48), (4, 36, 36)])
def test_where_the_channels_are_is_asked_if_it_is_not_clear(factory, shape):
    spec = EnvironmentSpec({"image": specs.Array(shape, np.uint8)}, 2)
    with pytest.raises(ConfigError, match="first axis is shorter .* set layout to chw"):
        make_torso(NetworkConfig(factory), spec)
    with pytest.raises(ConfigError, match="layout is 'nchw'; it has to be hwc"):
        make_torso(NetworkConfig(factory, {"layout": "nchw"}), spec)
    first = NetworkConfig(factory, {"layout": "chw"})
    check_network(first, spec)
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


def test_what_is_discrete_beside_the_image_is_one_hot():
    spec = EnvironmentSpec(
        {
            "cells": CategoricalArray((1, 2), np.int32, 0, [[1, 2]]),
            "image": specs.Array((2, 2), np.float32),
        },
        2,
    )
    assert find_image("conv", spec) is spec.observation["image"]
    batch = {
        "cells": np.array([[[1, 2]]], np.int32),
        "image": np.ones((1, 2, 2), np.float32),
    }
    features = append_others(jnp.zeros((1, 1)), encode_observation(batch, spec))
    np.testing.assert_array_equal(features, [[0, 0, 1, 0, 0, 1]])
    spec.observation["room"] = specs.DiscreteArray(2000)
    with pytest.raises(ConfigError, match="'conv' encodes .* at most 1,024 .* 2,000"):
        find_image("conv", spec)


def test_vectors_and_numbers_go_beside_the_image():
    spec = {
        "last_action": specs.Array((2,), np.float32),
        "last_reward": specs.Array((), np.float32),
        "observation": specs.Array((1, 2), np.float32),
    }
    assert find_image("conv", EnvironmentSpec(spec, 2)) is spec["observation"]
    batch = {
        "last_action": np.array([[0, 1], [1, 0]], np.float32),
        "last_reward": np.array([0.5, -3], np.float32),
        "observation": np.array([[[1, 2]], [[3, 4]]], np.float32),
    }
    np.testing.assert_array_equal(to_image(batch), batch["observation"][..., None])
    features = append_others(jnp.array([[9.0], [8.0]]), batch)
    np.testing.assert_array_equal(features, [[9, 0, 1, 0.5], [8, 1, 0, -3]])
    alone = append_others(features, batch["observation"])
    np.testing.assert_array_equal(alone, features)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        # A kernel of ones on 1 2 3 / 4 5 6 / 7 8 9: the only place of stride 2.
        ("VALID", [12.0]),
        # Zeros at the right and below: 1+2+4+5, 3+6, 7+8, 9.
        ("SAME", [12.0, 9.0, 15.0, 9.0]),
    ],
)
def test_stride_and_padding_by_hand(padding, expected):
    image = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    network = hk.without_apply_rng(
        hk.transform(lambda x: convolve(x, [Layer(1, 2, 2)], padding, name="here"))
    )
    assert list(network.init(jax.random.PRNGKey(0), image)) == ["here"]
    params = {"here": {"w": jnp.ones((2, 2, 1, 1)), "b": jnp.zeros(1)}}
    np.testing.assert_allclose(network.apply(params, image), [expected])
