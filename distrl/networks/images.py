"""What the convolutional torsos share: their observation, and its convolutions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.errors import ConfigError
from distrl.networks.arguments import check_sizes
from distrl.networks.observations import describe, flatten, to_float
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec


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


def find_image(factory: str, spec: EnvironmentSpec) -> Any:
    """Returns the spec of the image in an observation.

    Args:
      factory: the torso's name, for the message.
      spec: of the environment.

    Raises:
      ConfigError: there is not one image `[height, width]` or `[height, width,
        channels]`, alone or in a nest with vectors and numbers.
    """
    leaves = jax.tree.leaves(spec.observation)
    images = [x for x in leaves if len(x.shape) in (2, 3)]
    others = [x for x in leaves if len(x.shape) > 3]
    if len(images) != 1 or others or 0 in images[0].shape:
        raise ConfigError(
            f"network.factory: {factory!r} takes one image [height, width] or [height, "
            "width, channels], alone or with vectors and numbers beside it; the "
            f"observation is {describe(spec.observation)}. Use 'mlp' or 'mixed', "
            "which take any."
        )
    return images[0]


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
    factory: str, spec: EnvironmentSpec, layers: Sequence[Layer]
) -> None:
    """Checks that convolutions without padding fit into the observation.

    Args:
      factory: the torso's name, for the message.
      spec: of the environment.
      layers: the convolutions.

    Raises:
      ConfigError: the observation is no image, or too small.
    """
    image = find_image(factory, spec)
    smallest = 1
    for layer in reversed(layers):
        smallest = (smallest - 1) * layer.stride + layer.kernel
    if min(image.shape[:2]) < smallest:
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
) -> Torso:
    """Returns convolutions without padding, then an MLP, with ReLUs.

    What is beside the image goes into the MLP.

    Args:
      factory: the torso's name, for messages.
      spec: of the environment.
      layers: the convolutions.
      hidden_sizes: the units of each hidden layer after them.

    Raises:
      ConfigError: an argument has no such value, or observations no such shape.
    """
    check_sizes("hidden_sizes", hidden_sizes)
    check_convolutions(factory, spec, layers)

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        features = convolve(to_image(observation), layers)
        features = append_others(features, observation)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso


def to_image(observation: Any) -> jax.Array:
    """Returns the one image of a nest as `[B, H, W, C] float32`.

    Bytes are divided by 255; `[B, H, W]` has one channel.
    """
    (image,) = filter(_is_image, jax.tree.leaves(observation))
    image = to_float(image)
    return image[..., None] if image.ndim == 3 else image


def append_others(features: jax.Array, observation: Any) -> jax.Array:
    """Returns features `[B, F]` with all that is beside the image, flattened."""
    leaves = jax.tree.leaves(observation)
    others = [x for x in leaves if not _is_image(x)]
    if not others:
        return features
    return jnp.concatenate([features, flatten(others)], axis=-1)


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
