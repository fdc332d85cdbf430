"""The image in an observation, and convolutions: shared by torsos."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.errors import ConfigError
from distrl.networks.observations import (
    check_one_hot,
    describe,
    find_categories,
    flatten,
)
from distrl.types import EnvironmentSpec

Layout = Literal["hwc", "chw"] | None
"""Whether the channels of an image come last or first; None if the shape shows it."""


class Layer(NamedTuple):
    """A convolution with a square kernel and the same stride in both directions."""

    channels: int
    kernel: int
    stride: int


def find_image(factory: str, spec: EnvironmentSpec, layout: Layout = None) -> Any:
    """Returns the spec of the image in an observation.

    Raises ConfigError unless there is one image of known layout, alone or with vectors
    and numbers, and no discrete part has too many values.
    """
    leaves = jax.tree.leaves(spec.observation)
    leaves = [x for x in leaves if find_categories(x) is None]
    images = [x for x in leaves if len(x.shape) in (2, 3)]
    others = [x for x in leaves if len(x.shape) > 3]
    if len(images) != 1 or others or 0 in images[0].shape:
        raise ConfigError(
            f"network.factory: {factory!r} takes one image [height, width] or [height, "
            "width, channels], alone or with vectors and numbers beside it; the "
            f"observation is {describe(spec.observation)}. Use 'mlp' or 'mixed', "
            "which take any."
        )
    check_layout(images[0], layout)
    check_one_hot(factory, spec)
    return images[0]


def check_layout(image: Any, layout: Layout) -> None:
    """Raises ConfigError if it is unclear which axis has the channels."""
    if layout not in (None, "hwc", "chw"):
        raise ConfigError(
            f"network.args: layout is {layout!r}; it has to be hwc (height, width, "
            "channels), chw (channels, height, width) or null."
        )
    if layout is None and len(image.shape) == 3 and image.shape[0] < image.shape[2]:
        raise ConfigError(
            f"network.args: the image has {describe(image)}, whose first axis is "
            "shorter than its last, so it is not clear where its channels are; set "
            "layout to chw if they come first, or to hwc if they come last."
        )


def to_image(observation: Any, layout: Layout = None) -> jax.Array:
    """Returns an encoded nest's image as `[B, H, W, C]`; C is 1 for `[B, H, W]`."""
    (image,) = filter(_is_image, jax.tree.leaves(observation))
    if image.ndim == 3:
        return image[..., None]
    return jnp.moveaxis(image, 1, -1) if layout == "chw" else image


def append_others(features: jax.Array, observation: Any) -> jax.Array:
    """Appends the parts of an encoded nest besides the image to features `[B, F]`."""
    leaves = jax.tree.leaves(observation)
    others = [x for x in leaves if not _is_image(x)]
    if not others:
        return features
    return jnp.concatenate([features, flatten(others)], axis=-1)


def has_channels_first(image: Any, layout: Layout) -> bool:
    """Returns whether an image or its spec has channels first."""
    return layout == "chw" and len(image.shape) == 3


def _is_image(x: jax.Array) -> bool:
    return x.ndim in (3, 4)


def convolve(
    image: jax.Array,
    layers: Sequence[Layer],
    padding: str = "VALID",
    name: str | None = None,
) -> jax.Array:
    """Applies convolutions with ReLUs, then flattens: `[B, H, W, C]` to `[B, F]`."""
    features = image
    for channels, kernel, stride in layers:
        convolution = hk.Conv2D(channels, kernel, stride, padding=padding, name=name)
        features = jax.nn.relu(convolution(features))
    return hk.Flatten()(features)
