"""The convolutional torso of DQN."""

from collections.abc import Sequence

from distrl.networks.images import Layout, make_convolutional, make_layers
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec


def make_atari(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (32, 64, 64),
    kernels: Sequence[int] = (8, 4, 3),
    strides: Sequence[int] = (4, 2, 1),
    hidden_sizes: Sequence[int] = (512,),
    layout: Layout = None,
) -> Torso:
    """Returns convolutions without padding, then an MLP, with ReLUs.

    The default is the network of DQN for Atari's 84 by 84 images (Nature 518,
    10.1038/nature14236), up to its last layer.

    Args:
      spec: the observation is one image `[height, width]` or `[height, width,
        channels]`, or a nest of one and vectors or numbers, which go into the MLP
        beside it.
      channels: the output channels of each convolution.
      kernels: the height and width of each, in pixels.
      strides: the pixels between two places of each, in both directions.
      hidden_sizes: the units of each hidden layer after the convolutions.
      layout: `hwc` or `chw`: channels last or first; null asks where it is not clear.

    Raises:
      ConfigError: an argument has no such value, or observations no such shape.
    """
    layers = make_layers(channels, kernels, strides)
    return make_convolutional("atari", spec, layers, hidden_sizes, layout)
