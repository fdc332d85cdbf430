"""Torsos for any observation, against values computed by hand."""

from typing import NamedTuple

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
from distrl.networks.mlp import make_mixed, make_mlp
from distrl.networks.observations import zero_observation
from distrl.types import EnvironmentSpec


def test_mlp_without_hidden_layers_flattens_the_observation():
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


def test_mlp_hidden_layer_matches_hand_calculation():
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


def test_discrete_observations_are_one_hot():
    spec = EnvironmentSpec(specs.DiscreteArray(16), num_actions=3)
    torso = hk.transform_with_state(make_mlp(spec, hidden_sizes=[]))
    features, _ = torso.apply({}, {}, None, np.array([3, 15], np.int32), False)
    np.testing.assert_array_equal(features, np.eye(16)[[3, 15]])
    with pytest.raises(ConfigError, match="'mlp' encodes .* Use 'mixed'"):
        make_mlp(EnvironmentSpec(specs.DiscreteArray(2000), 3))


class Parts(NamedTuple):
    board: specs.Array
    gears: tuple
    speed: specs.Array


NEST = EnvironmentSpec(
    Parts(
        board=specs.Array((2, 3), np.uint8),
        gears=(
            specs.DiscreteArray(4, dtype=np.int32),
            specs.DiscreteArray(200, dtype=np.uint8),
            specs.BoundedArray((), np.int32, -1, 1),
        ),
        speed=specs.Array((), np.float32),
    ),
    num_actions=3,
)


def init(spec, observation, **args):
    torso = hk.transform_with_state(make_mixed(spec, **args))
    params, state = torso.init(jax.random.PRNGKey(0), observation, True)
    assert state == {}
    return torso, params


def make_batch(size):
    random = np.random.default_rng(0)
    return Parts(
        board=random.integers(0, 256, (size, 2, 3)).astype(np.uint8),
        gears=(
            random.integers(0, 4, size).astype(np.int32),
            random.integers(0, 200, size).astype(np.uint8),
            random.integers(-1, 2, size).astype(np.int32),
        ),
        speed=random.normal(size=size).astype(np.float32),
    )


def test_mixed_leaf_features_match_hand_calculation():
    batch = make_batch(4)
    sizes = {"embedding_size": 2, "channels": [3], "kernel": 1, "hidden_sizes": []}
    torso, params = init(NEST, batch, **sizes)
    params = jax.tree.map(np.asarray, params)
    # A kernel of 1 is a linear layer on each cell, here of one channel.
    conv, linear = params["leaf_0_conv"], params["leaf_0_linear"]
    cells = batch.board[..., None] / 255 * conv["w"][0, 0, 0] + conv["b"]
    board = np.maximum(cells, 0).reshape(4, -1) @ linear["w"] + linear["b"]
    linear = params["leaf_4_linear"]
    speed = batch.speed[:, None] * linear["w"][0] + linear["b"]
    expected = np.concatenate(
        [
            np.maximum(board, 0),
            params["leaf_1_embed"]["embeddings"][batch.gears[0]],
            # Discrete bytes are embedded, not scaled like pixels.
            params["leaf_2_embed"]["embeddings"][batch.gears[1]],
            # The values -1, 0 and 1 have the rows 0, 1 and 2.
            params["leaf_3_embed"]["embeddings"][batch.gears[2] + 1],
            np.maximum(speed, 0),
        ],
        axis=-1,
    )
    assert params["leaf_3_embed"]["embeddings"].shape == (3, 2)
    features, _ = torso.apply(params, {}, None, batch, False)
    assert features.dtype == jnp.float32
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_mixed_layers_depend_on_the_leaf_spec():
    spec = EnvironmentSpec(
        {
            "a": specs.BoundedArray((), np.int32, 0, 1023),
            "b": specs.BoundedArray((), np.int32, 0, 1024),
            "c": specs.Array((), np.int32),
            "d": specs.BoundedArray((2,), np.int32, 0, 1),
            "e": specs.BoundedArray((), np.float32, 0, 1),
            "f": specs.Array((2, 2, 2, 2), np.float32),
            "g": specs.Array((0,), np.float32),
            "h": specs.Array((5, 4, 2), np.float32),
        },
        num_actions=2,
    )
    _, params = init(
        spec,
        zero_observation(spec, 1),
        embedding_size=7,
        channels=[2, 3],
        stride=2,
        hidden_sizes=[],
    )
    shapes = {name: jax.tree.leaves(x)[-1].shape for name, x in params.items()}
    assert shapes == {
        "leaf_0_embed": (1024, 7),
        **{f"leaf_{i}_linear": (size, 7) for i, size in enumerate((1, 1, 2, 1, 16), 1)},
        # 5x4 is 3x2, then 2x1, of 3 channels.
        "leaf_7_conv": (3, 3, 2, 2),
        "leaf_7_conv_1": (3, 3, 2, 3),
        "leaf_7_linear": (6, 7),
    }


def test_each_integer_has_its_own_embedding_rows():
    leaf = CategoricalArray((2,), np.int32, [1, 0], [2, 2])
    batch = np.array([[1, 2], [2, 0]], np.int32)
    spec = EnvironmentSpec(leaf, 2)
    torso, params = init(spec, batch, embedding_size=4, hidden_sizes=[])
    table = params["leaf_0_embed"]["embeddings"]
    assert table.shape == (5, 4)
    features, _ = torso.apply(params, {}, None, batch, False)
    expected = [table[0] + table[4], table[1] + table[2]]
    np.testing.assert_allclose(features, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "observation",
    [
        specs.DiscreteArray(5),
        specs.Array((4,), np.float64),
        [specs.Array((1, 6), np.float32)],
        {"a": {"b": specs.DiscreteArray(2)}, "c": (specs.Array((3,), np.uint8),)},
    ],
)
def test_mixed_takes_any_nest(observation):
    check_agent(Config(network=NetworkConfig("mixed")), EnvironmentSpec(observation, 3))
