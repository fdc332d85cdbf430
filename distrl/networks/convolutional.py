"""Convolutional torsos: `atari`, the network of DQN, and the small `conv`."""

from collections.abc import Sequence

import haiku as hk
import jax

from distrl.errors import ConfigError
from distrl.networks.images import (
    Layer,
    Layout,
    append_others,
    convolve,
    find_image,
    has_channels_first,
    to_image,
)
from distrl.networks.observations import describe, encode_observation
from distrl.networks.torsos import Torso, check_size, check_sizes
from distrl.types import EnvironmentSpec, Nest


def make_atari(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (32, 64, 64),
    kernels: Sequence[int] = (8, 4, 3),
    strides: Sequence[int] = (4, 2, 1),
    hidden_sizes: Sequence[int] = (512,),
    layout: Layout = None,
) -> Torso:
    """Returns convolutions without padding, then an MLP, with ReLUs.

    The default is the DQN network for 84 by 84 Atari images (Nature 518,
    10.1038/nature14236), without its last layer.

    Args:
      spec: one image `[height, width]` or `[height, width, channels]`, or a nest of one
        image and vectors or numbers, which are inputs of the MLP.
      channels: the output channels of each convolution.
      kernels: the height and width of each, in pixels.
      strides: in pixels, the same in both directions.
      hidden_sizes: the units of each hidden layer after the convolutions.
      layout: `hwc` or `chw`: channels last or first; None if the shape shows it.
    """
    layers = make_layers(channels, kernels, strides)
    return make_convolutional("atari", spec, layers, hidden_sizes, layout)


def make_conv(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    hidden_sizes: Sequence[int] = (128,),
    layout: Layout = None,
) -> Torso:
    """Returns convolutions of stride 1 without padding, then an MLP, with ReLUs.

    The default is the network of MinAtar (arXiv 1903.03176). The arguments are those of
    `make_atari`, but all convolutions share one `kernel`.
    """
    check_sizes("channels", channels)
    check_size("kernel", kernel)
    layers = [Layer(size, kernel, stride=1) for size in channels]
    return make_convolutional("conv", spec, layers, hidden_sizes, layout)


def make_layers(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]
) -> list[Layer]:
    """Returns the convolutions of three lists; raises ConfigError if invalid."""
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
    """Raises ConfigError unless the convolutions, unpadded, fit into the image."""
    image = find_image(factory, spec, layout)
    smallest = 1
    for layer in reversed(layers):
        smallest = (smallest - 1) * layer.stride + layer.kernel
    size = image.shape[1:] if has_channels_first(image, layout) else image.shape[:2]
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
    """Returns convolutions without padding, then an MLP with the rest of the inputs.

    Raises ConfigError if an argument is invalid or does not fit the observation.
    """
    check_sizes("hidden_sizes", hidden_sizes)
    check_convolutions(factory, spec, layers, layout)

    def torso(observation: Nest, is_training: bool) -> jax.Array:
        del is_training
        observation = encode_observation(observation, spec)
        features = convolve(to_image(observation, layout), layers)
        features = append_others(features, observation)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso
