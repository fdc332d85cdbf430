"""The small convolutional torso."""

from collections.abc import Sequence

from distrl.networks.arguments import check_size, check_sizes
from distrl.networks.images import Layer, Layout, make_convolutional
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec


def make_conv(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    hidden_sizes: Sequence[int] = (128,),
    layout: Layout = None,
) -> Torso:
    """Returns convolutions of stride 1 without padding, then an MLP, with ReLUs.

    The default is the network of MinAtar (arXiv 1903.03176).

    Args:
      spec: the observation is one image `[height, width]` or `[height, width,
        channels]`, or a nest of one and vectors or numbers, which go into the MLP
        beside it.
      channels: the output channels of each convolution.
      kernel: the height and width of a convolution, in cells.
      hidden_sizes: the units of each hidden layer after the convolutions.
      layout: `hwc` or `chw`: channels last or first; null asks where it is not clear.

    Raises:
      ConfigError: an argument has no such value, or observations no such shape.
    """
    check_sizes("channels", channels)
    check_size("kernel", kernel)
    layers = [Layer(size, kernel, stride=1) for size in channels]
    return make_convolutional("conv", spec, layers, hidden_sizes, layout)
