"""Torsos for images: `atari`, the network of DQN, the small `conv`, and `impala`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.errors import ConfigError
from distrl.networks.observations import (
    check_one_hot,
    describe,
    encode_observation,
    find_categories,
    flatten,
)
from distrl.networks.torsos import Torso
from distrl.types import EnvironmentSpec, Nest

Layout = Literal["hwc", "chw"] | None
"""Whether the channels of an image come last or first; None if the shape shows it."""


class Layer(NamedTuple):
    """A convolution with a square kernel and the same stride in both directions."""

    channels: int
    kernel: int
    stride: int


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
    10.1038/nature14236), without its last layer. The observation is one image `[height,
    width]` or `[height, width, channels]`, or a nest of one image and vectors or
    numbers, which are inputs of the MLP. Kernels and strides are in pixels.
    """
    if not len(channels) == len(kernels) == len(strides):
        raise ConfigError(
            "network.args: channels, kernels and strides are lists with one number a "
            f"convolution; they have {len(channels)}, {len(kernels)} and "
            f"{len(strides)} numbers."
        )
    layers = list(map(Layer, channels, kernels, strides))
    return _make_unpadded("atari", spec, layers, hidden_sizes, layout)


def make_conv(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    hidden_sizes: Sequence[int] = (128,),
    layout: Layout = None,
) -> Torso:
    """Returns convolutions of stride 1 without padding, then an MLP, with ReLUs.

    The default is the network of MinAtar (arXiv 1903.03176).
    """
    layers = [Layer(size, kernel, stride=1) for size in channels]
    return _make_unpadded("conv", spec, layers, hidden_sizes, layout)


def make_impala(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (16, 32, 32),
    width: int = 1,
    blocks: int = 2,
    hidden_sizes: Sequence[int] = (256,),
    layout: Layout = None,
) -> Torso:
    """Returns the large network of IMPALA (arXiv 1802.01561, figure 3), without LSTM.

    A section is a convolution, a max pooling that halves height and width, and residual
    blocks; an MLP with ReLUs follows the last one. All is padded, so images may have
    any size. `width` multiplies all channels.
    """
    find_image("impala", spec, layout)

    def convolve_sections(features: jax.Array) -> jax.Array:
        for section in channels:
            size = section * width
            features = hk.Conv2D(size, 3)(features)
            features = hk.max_pool(features, (3, 3, 1), (2, 2, 1), "SAME")
            for _ in range(blocks):
                residual = hk.Conv2D(size, 3)(jax.nn.relu(features))
                features += hk.Conv2D(size, 3)(jax.nn.relu(residual))
        return hk.Flatten()(jax.nn.relu(features))

    return _make_torso(spec, convolve_sections, hidden_sizes, layout)


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
            "width, channels], alone or with vectors and numbers; the observation is "
            f"{describe(spec.observation)}. Use 'mlp' or 'mixed', which take any."
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


def to_image(image: jax.Array, layout: Layout = None) -> jax.Array:
    """Returns an image as `[B, H, W, C]`; C is 1 for `[B, H, W]`."""
    if image.ndim == 3:
        return image[..., None]
    return jnp.moveaxis(image, 1, -1) if layout == "chw" else image


def convolve(
    image: jax.Array,
    layers: Sequence[Layer],
    padding: str = "VALID",
    name: str | None = None,
) -> jax.Array:
    """Applies convolutions with ReLUs, then flattens: `[B, H, W, C]` to `[B, F]`."""
    for channels, kernel, stride in layers:
        convolution = hk.Conv2D(channels, kernel, stride, padding=padding, name=name)
        image = jax.nn.relu(convolution(image))
    return hk.Flatten()(image)


def _make_unpadded(
    factory: str,
    spec: EnvironmentSpec,
    layers: Sequence[Layer],
    hidden_sizes: Sequence[int],
    layout: Layout,
) -> Torso:
    image = find_image(factory, spec, layout)
    smallest = 1
    for layer in reversed(layers):
        smallest = (smallest - 1) * layer.stride + layer.kernel
    channels_first = layout == "chw" and len(image.shape) == 3
    size = image.shape[1:] if channels_first else image.shape[:2]
    if min(size) < smallest:
        raise ConfigError(
            f"network.args: the convolutions of {factory!r} need an image of {smallest}"
            f" by {smallest} at least; the observation has {describe(image)}. "
            "Set smaller kernels or strides, or fewer channels; 'impala' takes an "
            "image of any size."
        )
    return _make_torso(spec, lambda x: convolve(x, layers), hidden_sizes, layout)


def _make_torso(
    spec: EnvironmentSpec,
    convolve_image: Callable[[jax.Array], jax.Array],
    hidden_sizes: Sequence[int],
    layout: Layout,
) -> Torso:
    """Returns features of the image, then an MLP on them and the rest."""

    def torso(observation: Nest, is_training: bool) -> jax.Array:
        del is_training
        leaves = jax.tree.leaves(encode_observation(observation, spec))
        (image,) = (x for x in leaves if x.ndim > 2)
        others = [x for x in leaves if x.ndim <= 2]
        features = flatten([convolve_image(to_image(image, layout)), *others])
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso
