"""What networks begin with: nests of observations made floats, made vectors."""

from typing import Any

import jax
import jax.numpy as jnp

from distrl.types import EnvironmentSpec


def to_float(observation: Any) -> Any:
    """Returns the nest `[...]` in float32: uint8 divided by 255, others as they are."""

    def convert(x: jax.Array) -> jax.Array:
        scale = 255.0 if x.dtype == jnp.uint8 else 1.0
        return x if x.dtype == jnp.float32 else x.astype(jnp.float32) / scale

    return jax.tree.map(convert, observation)


def flatten(observation: Any) -> jax.Array:
    """Returns the nest `[B, ...]` as one `[B, F] float32`, leaves side by side."""
    leaves = jax.tree.leaves(to_float(observation))
    return jnp.concatenate([x.reshape(x.shape[0], -1) for x in leaves], axis=-1)


def observation_shapes(spec: EnvironmentSpec, batch_size: int) -> Any:
    """Returns the nest of shapes and dtypes of a batch, as they are on the device."""

    def batch(array: Any) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        return jax.ShapeDtypeStruct((batch_size, *array.shape), dtype)

    return jax.tree.map(batch, spec.observation)


def zero_observation(spec: EnvironmentSpec, batch_size: int) -> Any:
    """Returns a nest of zeros `[batch_size, ...]` with the shapes of the spec."""
    shapes = observation_shapes(spec, batch_size)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def describe(nest: Any) -> str:
    """Returns the shapes and dtypes of a nest: `[2, 3] float32`, for messages."""

    def text(x: Any) -> str:
        if not hasattr(x, "shape"):
            return type(x).__name__
        return f"{list(x.shape)} {jnp.dtype(x.dtype).name}"

    if hasattr(nest, "shape"):
        return text(nest)
    leaves = jax.tree_util.tree_leaves_with_path(nest)
    parts = [f"{jax.tree_util.keystr(path)} {text(x)}" for path, x in leaves]
    return f"{type(nest).__name__} of {', '.join(parts) or 'nothing'}"
