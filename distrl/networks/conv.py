"""The small convolutional network."""

from collections.abc import Sequence
from typing import Any

import haiku as hk
import jax

from distrl.errors import ConfigError
from distrl.networks.mlp import check_sizes
from distrl.networks.observations import describe, to_float
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec


def make_conv(
    spec: EnvironmentSpec,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    hidden_sizes: Sequence[int] = (128,),
) -> Torso:
    """Returns convolutions of stride 1 without padding, then an MLP, with ReLUs.

    The default is the network of MinAtar (arXiv 1903.03176).

    Args:
      spec: observations are one array, `[height, width]` or
        `[height, width, channels]`.
      channels: the output channels of each convolution.
      kernel: the height and width of a convolution, in cells.
      hidden_sizes: the units of each hidden layer after the convolutions.

    Raises:
      ConfigError: an argument has no such value, or observations no such shape.
    """
    check_sizes("channels", channels)
    check_sizes("hidden_sizes", hidden_sizes)
    if not isinstance(kernel, int) or kernel < 1:
        raise ConfigError(
            f"network.args: kernel is {kernel!r}; it has to be a positive integer."
        )
    board = spec.observation
    if not hasattr(board, "shape") or len(board.shape) not in (2, 3):
        raise ConfigError(
            f"network.factory: 'conv' takes one array [height, width] or [height, "
            f"width, channels]; the observation is {describe(board)}. Use 'mlp'."
        )
    smallest = 1 + len(channels) * (kernel - 1)
    if min(board.shape[:2]) < smallest:
        raise ConfigError(
            f"network.args: {len(channels)} convolutions of {kernel} by {kernel} need "
            f"{smallest} by {smallest} cells; the observation is {describe(board)}. "
            "Lower kernel, or give fewer channels."
        )

    def network(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        features = to_float(observation)
        if features.ndim == 3:
            features = features[..., None]
        for width in channels:
            features = hk.Conv2D(width, kernel, padding="VALID")(features)
            features = jax.nn.relu(features)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(hk.Flatten()(features))

    return network
