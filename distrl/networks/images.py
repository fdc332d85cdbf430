"""What the convolutional torsos share: their observation, and its convolutions."""

from collections.abc import Sequence
from typing import NamedTuple

import haiku as hk
import jax

from distrl.errors import ConfigError
from distrl.networks.arguments import check_sizes
from distrl.networks.observations import describe, to_float
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


def check_image(factory: str, spec: EnvironmentSpec) -> None:
    """Checks that the observation is one image or board.

    Args:
      factory: the torso's name, for the message.
      spec: of the environment.

    Raises:
      ConfigError: it is not `[height, width]` or `[height, width, channels]`.
    """
    image = spec.observation
    is_image = hasattr(image, "shape") and len(image.shape) in (2, 3)
    if not is_image or 0 in image.shape:
        raise ConfigError(
            f"network.factory: {factory!r} takes one array [height, width] or [height, "
            f"width, channels]; the observation is {describe(image)}. Use 'mlp' or "
            "'mixed', which take any."
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
    check_image(factory, spec)
    smallest = 1
    for layer in reversed(layers):
        smallest = (smallest - 1) * layer.stride + layer.kernel
    if min(spec.observation.shape[:2]) < smallest:
        raise ConfigError(
            f"network.args: the convolutions of {factory!r} need an image of {smallest}"
            f" by {smallest} at least; the observation is "
            f"{describe(spec.observation)}. Set smaller kernels or strides, or fewer "
            "channels; 'impala' takes an image of any size."
        )


def to_image(observation: jax.Array) -> jax.Array:
    """Returns `[B, H, W]` or `[B, H, W, C]` as `[B, H, W, C] float32`.

    Bytes are divided by 255.
    """
    image = to_float(observation)
    return image[..., None] if image.ndim == 3 else image


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
