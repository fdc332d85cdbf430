import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.networks.observations import (
    describe,
    flatten,
    observation_shapes,
    to_float,
    zero_observation,
)
from distrl.types import EnvironmentSpec

NEST = {
    "b": np.array([[[0, 255], [51, 102]]], np.uint8),
    "a": np.array([7], np.int32),
    "c": np.array([[0.5, -1.0]], np.float32),
    "d": np.array([[True, False]]),
}


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_bytes_are_scaled_and_all_else_keeps_its_value(variant):
    floats = variant(to_float)(NEST)
    assert {x.dtype for x in floats.values()} == {jnp.dtype("float32")}
    # 51 / 255 = 0.2 and 102 / 255 = 0.4.
    np.testing.assert_allclose(floats["b"], [[[0.0, 1.0], [0.2, 0.4]]], rtol=1e-6)
    np.testing.assert_array_equal(floats["a"], [7.0])
    np.testing.assert_array_equal(floats["c"], [[0.5, -1.0]])
    np.testing.assert_array_equal(floats["d"], [[1.0, 0.0]])


def test_flatten_puts_leaves_side_by_side_in_the_order_of_the_tree():
    expected = [[7.0, 0.0, 1.0, 0.2, 0.4, 0.5, -1.0, 1.0, 0.0]]
    np.testing.assert_allclose(flatten(NEST), expected, rtol=1e-6)


def test_zero_observation_has_the_dtypes_of_the_device():
    spec = EnvironmentSpec(
        (specs.Array((2,), np.float64), specs.DiscreteArray(3, dtype=np.int64)), 2
    )
    shapes = observation_shapes(spec, 4)
    zeros = zero_observation(spec, 4)
    for shape, zero in zip(shapes, zeros, strict=True):
        assert (shape.shape, shape.dtype) == (zero.shape, zero.dtype)
    assert describe(zeros) == "tuple of [0] [4, 2] float32, [1] [4] int32"
    assert describe({}) == "dict of nothing"
