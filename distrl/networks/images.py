"""What the convolutional torsos share: their observation, and its convolutions."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.errors import ConfigError
from distrl.networks.arguments import check_sizes
from distrl.networks.observations import (
    check_one_hot,
    describe,
    encode_observation,
    find_categories,
    flatten,
)
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec

Layout = Literal["hwc", "chw"] | None
"""Whether the channels of an image `[H, W, C]` come last or first; None asks where it
is not clear."""


class Layer(NamedTuple):
    """A convolution.

    Attributes:
      channels: of its output.
      kernel: its height and width, in cells.
      stride: the cells between two places of it, in both directions.
    """

    channels: int
    kernel: int
    stride: int


def find_image(factory: str, spec: EnvironmentSpec, layout: Layout = None) -> Any:
    """Returns the spec of the image in an observation, and checks what is beside it.

    Args:
      factory: the torso's name, for the message.
      spec: of the environment.
      layout: of an image with channels.

    Raises:
      ConfigError: there is not one image, alone or in a nest with vectors and numbers;
        its layout has to be given; or a discrete part has too many values.
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
    """Checks that it is clear which axis of an image is that of its channels.

    Raises:
      ConfigError: it is not, or `layout` is not one.
    """
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


def make_layers(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]
) -> list[Layer]:
    """Returns the convolutions of three lists.

    Raises:
      ConfigError: one is no list of positive integers, or they differ in length.
    """
    sizes = {"channels": channels, "kernels": kernels, "strides": strides}
    for name, each in sizes.items():
        check_sizes(name, each)
    if len({len(each) for each in sizes.values()}) > 1:
        raise ConfigError(
            "network.args: channels, kernels and strides are lists with one number a "
            f"convolution; they have {len(channels)}, {len(kernels)} and "
            f"{len(strides)} numbers."
        )
    return [Layer(*each) for each in zip(channels, kernels, strides, strict=True)]


def check_convolutions(
    factory: str, spec: EnvironmentSpec, layers: Sequence[Layer], layout: Layout = None
) -> None:
    """Checks that convolutions without padding fit into the observation.

    Args:
      factory: the torso's name, for the message.
      spec: of the environment.
      layers: the convolutions.
      layout: of an image with channels.

    Raises:
      ConfigError: the observation is not an image, or too small.
    """
    image = find_image(factory, spec, layout)
    smallest = 1
    for layer in reversed(layers):
        smallest = (smallest - 1) * layer.stride + layer.kernel
    size = image.shape[1:] if _has_channels_first(image, layout) else image.shape[:2]
    if min(size) < smallest:
        raise ConfigError(
            f"network.args: the convolutions of {factory!r} need an image of {smallest}"
            f" by {smallest} at least; the observation has {describe(image)}. "
            "Set smaller kernels or strides, or fewer channels; 'impala' takes an "
            "image of any size."
        )


def make_convolutional(
    factory: str,
    spec: EnvironmentSpec,
    layers: Sequence[Layer],
    hidden_sizes: Sequence[int],
    layout: Layout = None,
) -> Torso:
    """Returns convolutions without padding, then an MLP, with ReLUs.

    What is beside the image goes into the MLP.

    Args:
      factory: the torso's name, for messages.
      spec: of the environment.
      layers: the convolutions.
      hidden_sizes: the units of each hidden layer after them.
      layout: of an image with channels.

    Raises:
      ConfigError: an argument has no such value, or observations no such shape.
    """
    check_sizes("hidden_sizes", hidden_sizes)
    check_convolutions(factory, spec, layers, layout)

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        observation = encode_observation(observation, spec)
        features = convolve(to_image(observation, layout), layers)
        features = append_others(features, observation)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso


def to_image(observation: Any, layout: Layout = None) -> jax.Array:
    """Returns the one image of an encoded nest as `[B, H, W, C]`.

    An image `[B, H, W]` has one channel.
    """
    (image,) = filter(_is_image, jax.tree.leaves(observation))
    if image.ndim == 3:
        return image[..., None]
    return jnp.moveaxis(image, 1, -1) if layout == "chw" else image


def append_others(features: jax.Array, observation: Any) -> jax.Array:
    """Returns features `[B, F]` with all that an encoded nest has beside the image."""
    leaves = jax.tree.leaves(observation)
    others = [x for x in leaves if not _is_image(x)]
    if not others:
        return features
    return jnp.concatenate([features, flatten(others)], axis=-1)


def _has_channels_first(image: Any, layout: Layout) -> bool:
    return layout == "chw" and len(image.shape) == 3


def _is_image(x: jax.Array) -> bool:
    return x.ndim in (3, 4)


def convolve(
    image: jax.Array,
    layers: Sequence[Layer],
    padding: str = "VALID",
    name: str | None = None,
) -> jax.Array:
    """Returns `[B, F]`: convolutions with ReLUs, flattened; a Haiku function.

    Args:
      image: `[B, H, W, C] float32`.
      layers: the convolutions.
      padding: `VALID` for none, or `SAME`.
      name: of the Haiku modules.
    """
    features = image
    for channels, kernel, stride in layers:
        convolution = hk.Conv2D(channels, kernel, stride, padding=padding, name=name)
        features = jax.nn.relu(convolution(features))
    return hk.Flatten()(features)
