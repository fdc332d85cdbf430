import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.environments.spec import CategoricalArray
from distrl.errors import ConfigError
from distrl.networks.observations import (
    check_one_hot,
    describe,
    encode_observation,
    flatten,
    to_float,
    zero_observation,
)
from distrl.types import EnvironmentSpec

DISCRETE = {
    "room": specs.DiscreteArray(3),
    "floor": specs.BoundedArray((), np.int32, -1, 1),
    "keys": (CategoricalArray((2,), np.int32, [1, 0], [2, 2]),),
    "count": specs.Array((), np.int32),
    "many": specs.BoundedArray((), np.int32, 0, 5000),
    "pair": specs.BoundedArray((2,), np.int32, 0, 3),
}

NEST = {
    "b": np.array([[[0, 255], [51, 102]]], np.uint8),
    "a": np.array([7], np.int32),
    "c": np.array([[0.5, -1.0]], np.float32),
    "d": np.array([[True, False]]),
}


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_to_float_scales_bytes_only(variant):
    floats = variant(to_float)(NEST)
    assert {x.dtype for x in floats.values()} == {jnp.dtype("float32")}
    # 51 / 255 = 0.2 and 102 / 255 = 0.4.
    np.testing.assert_allclose(floats["b"], [[[0.0, 1.0], [0.2, 0.4]]], rtol=1e-6)
    np.testing.assert_array_equal(floats["a"], [7.0])
    np.testing.assert_array_equal(floats["c"], [[0.5, -1.0]])
    np.testing.assert_array_equal(floats["d"], [[1.0, 0.0]])


def test_flatten_concatenates_leaves_in_tree_order():
    expected = [[7.0, 0.0, 1.0, 0.2, 0.4, 0.5, -1.0, 1.0, 0.0]]
    np.testing.assert_allclose(flatten(NEST), expected, rtol=1e-6)


def test_zero_observation_has_device_dtypes():
    spec = EnvironmentSpec(
        (specs.Array((2,), np.float64), specs.DiscreteArray(3, dtype=np.int64)), 2
    )
    zeros = zero_observation(spec, 4)
    assert describe(zeros) == "tuple of [0] [4, 2] float32, [1] [4] int32"
    assert describe({}) == "dict of nothing"


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_discrete_leaves_become_one_hot(variant):
    spec = EnvironmentSpec(DISCRETE, 2)
    observation = {
        "room": np.array([0, 2], np.int32),
        "floor": np.array([-1, 1], np.int32),
        "keys": (np.array([[1, 2], [2, 0]], np.int32),),
        "count": np.array([7, 8], np.int32),
        "many": np.array([7, 8], np.int32),
        "pair": np.array([[0, 3], [1, 2]], np.int32),
    }
    encoded = variant(lambda x: encode_observation(x, spec))(observation)
    np.testing.assert_array_equal(encoded["room"], [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(encoded["floor"], [[1, 0, 0], [0, 0, 1]])
    # Two values of the first, then three of the second.
    np.testing.assert_array_equal(
        encoded["keys"][0], [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    )
    # Taken for quantities, which are not encoded.
    for name in ("count", "many", "pair"):
        np.testing.assert_array_equal(encoded[name], observation[name])
    assert {x.dtype for x in jax.tree.leaves(encoded)} == {jnp.dtype("float32")}
    assert flatten(encoded).shape == (2, 3 + 3 + 5 + 1 + 1 + 2)


@pytest.mark.parametrize(
    "leaf", [specs.DiscreteArray(1025), CategoricalArray((200,), np.int32, 0, 9)]
)
def test_too_many_discrete_values_are_rejected(leaf):
    check_one_hot("mlp", EnvironmentSpec(specs.DiscreteArray(1024), 2))
    with pytest.raises(ConfigError, match="'mlp' encodes discrete .* 1,024 .* 'mixed'"):
        check_one_hot("mlp", EnvironmentSpec({"a": (leaf,)}, 2))


@pytest.mark.parametrize(
    ("leaf", "value", "expected"),
    [
        (specs.Array((2,), np.uint8), [51, 255], [0.2, 1.0]),
        (specs.BoundedArray((2,), np.uint8, 0, 255), [51, 255], [0.2, 1.0]),
        # Planes of a board, and the numbers of tiles.
        (specs.BoundedArray((1, 2), np.uint8, 0, 1), [[0, 1]], [[0.0, 1.0]]),
        (specs.BoundedArray((1, 2), np.uint8, 1, 5), [[1, 4]], [[0.0, 0.75]]),
        (specs.BoundedArray((2,), np.uint8, [0, 0], [4, 2]), [1, 2], [0.25, 0.5]),
        # Images in integers and floats of 0 to 255, in floats of 0 to 1 and -1 to 1.
        (specs.BoundedArray((1, 2), np.int32, 0, 255), [[51, 255]], [[0.2, 1.0]]),
        (specs.BoundedArray((1, 2), np.float32, 0, 255), [[51, 0]], [[0.2, 0.0]]),
        (specs.BoundedArray((1, 2), np.float32, 0, 1), [[0.2, 1]], [[0.2, 1.0]]),
        (specs.BoundedArray((1, 2), np.float32, -1, 1), [[-1, 1]], [[-1.0, 1.0]]),
        # Not images, or without useful bounds.
        (specs.BoundedArray((2,), np.float32, 0, 255), [51, 0], [51, 0]),
        (specs.BoundedArray((2,), np.int32, 0, 255), [51, 0], [51, 0]),
        (specs.BoundedArray((1, 2), np.float32, -np.inf, 9), [[7, 8]], [[7, 8]]),
        (specs.BoundedArray((1, 2), np.int32, 0, 2**31 - 1), [[7, 8]], [[7, 8]]),
        (specs.Array((1, 2), np.float32), [[7, 8]], [[7, 8]]),
    ],
)
def test_bytes_and_images_are_scaled_by_their_bounds(leaf, value, expected):
    batch = np.array([value], leaf.dtype)
    encoded = encode_observation(batch, EnvironmentSpec(leaf, 2))
    assert encoded.dtype == jnp.float32
    np.testing.assert_allclose(encoded, [expected], rtol=1e-6)
