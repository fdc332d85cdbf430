"""Preprocessing of observations: encoding by their spec, flattening to vectors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec, Nest

MAX_ONE_HOT = 1024
"""The most values of a one-hot encoded observation; a bounded integer with no more
values is treated as discrete."""

_MAX_PIXEL_RANGE = 65_535  # Of 16-bit images.


def find_categories(leaf: Any) -> np.ndarray | None:
    """Returns the number of values of each integer of a discrete array, flattened.

    None unless the spec is a `DiscreteArray`, a `CategoricalArray`, or a single bounded
    integer with at most `MAX_ONE_HOT` values.
    """
    if hasattr(leaf, "num_values"):
        return np.broadcast_to(leaf.num_values, leaf.shape).ravel()
    if leaf.shape != () or leaf.dtype.kind not in "iu" or not hasattr(leaf, "maximum"):
        return None
    count = int(leaf.maximum) - int(leaf.minimum) + 1
    return np.array([count]) if 0 < count <= MAX_ONE_HOT else None


def find_least(leaf: Any) -> np.ndarray:
    """Returns the minimum of each integer of a discrete array, flattened."""
    return np.broadcast_to(np.asarray(leaf.minimum, np.int32), leaf.shape).ravel()


def check_one_hot(factory: str, spec: EnvironmentSpec) -> None:
    """Raises ConfigError if a discrete part has more than `MAX_ONE_HOT` values."""
    for leaf in jax.tree.leaves(spec.observation):
        sizes = find_categories(leaf)
        if sizes is not None and sizes.sum() > MAX_ONE_HOT:
            raise ConfigError(
                f"network.factory: {factory!r} encodes discrete observations one-hot, "
                f"with at most {MAX_ONE_HOT:,} values; the observation has "
                f"{sizes.sum():,}. Use 'mixed', which learns a vector for each value; "
                "if they are quantities and not categories, declare a Box."
            )


def encode_observation(observation: Nest, spec: EnvironmentSpec) -> Nest:
    """Returns a nest of `[B, ...]` in float32, each array encoded as its spec says.

    Discrete arrays become one-hot vectors `[B, values]`, concatenated for several
    integers. uint8 arrays and images (rank 2 or 3) are scaled to [0, 1] by their
    declared bounds, uint8 without bounds by 0 to 255. Float images within [-1, 1],
    images without bounds, and everything else keep their values.
    """
    return jax.tree.map(_encode, spec.observation, observation)


def scale(leaf: Any, x: jax.Array) -> jax.Array:
    """Returns `[B, ...] float32`, scaled as in `encode_observation`."""
    is_byte, is_image = leaf.dtype == np.uint8, len(leaf.shape) in (2, 3)
    low, span = 0.0, 255.0 if is_byte else 1.0
    if hasattr(leaf, "maximum") and 0 not in leaf.shape and (is_byte or is_image):
        least, most = float(np.min(leaf.minimum)), float(np.max(leaf.maximum))
        is_scaled = leaf.dtype.kind == "f" and least >= -1.0 and most <= 1.0
        if 0.0 < most - least <= _MAX_PIXEL_RANGE and not is_scaled:
            low, span = least, most - least
    x = x.astype(jnp.float32)
    x = x - low if low else x
    return x / span if span != 1.0 else x


def to_float(observation: Nest) -> Nest:
    """Returns the nest in float32; uint8 is divided by 255."""

    def convert(x: jax.Array) -> jax.Array:
        scale = 255.0 if x.dtype == jnp.uint8 else 1.0
        return x if x.dtype == jnp.float32 else x.astype(jnp.float32) / scale

    return jax.tree.map(convert, observation)


def flatten(observation: Nest) -> jax.Array:
    """Flattens and concatenates a nest of `[B, ...]` to `[B, F] float32`."""
    leaves = jax.tree.leaves(to_float(observation))
    return jnp.concatenate([x.reshape(x.shape[0], -1) for x in leaves], axis=-1)


def zero_observation(spec: EnvironmentSpec, batch_size: int) -> Nest:
    """Returns a nest of zeros `[batch_size, ...]`, of the dtypes on the device."""

    def zeros(array: Any) -> jax.Array:
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        return jnp.zeros((batch_size, *array.shape), dtype)

    return jax.tree.map(zeros, spec.observation)


def describe(nest: Nest) -> str:
    """Describes shapes and dtypes of a nest, such as `[2, 3] float32`, for messages."""

    def text(x: Any) -> str:
        if not hasattr(x, "shape"):
            return type(x).__name__
        return f"{list(x.shape)} {jnp.dtype(x.dtype).name}"

    if hasattr(nest, "shape"):
        return text(nest)
    leaves = jax.tree_util.tree_leaves_with_path(nest)
    parts = [f"{jax.tree_util.keystr(path)} {text(x)}" for path, x in leaves]
    return f"{type(nest).__name__} of {', '.join(parts) or 'nothing'}"


def _encode(leaf: Any, x: jax.Array) -> jax.Array:
    sizes = find_categories(leaf)
    if sizes is None:
        return scale(leaf, x)
    x = x.reshape(x.shape[0], -1).astype(jnp.int32) - find_least(leaf)
    which = np.repeat(np.arange(len(sizes)), sizes)  # the integer of each output
    values = np.concatenate([np.arange(size) for size in sizes])
    return (x[:, which] == values).astype(jnp.float32)
