"""The residual torso of IMPALA."""

from collections.abc import Sequence
from typing import Any

import haiku as hk
import jax

from distrl.networks.images import Layout, append_others, find_image, to_image
from distrl.networks.observations import encode_observation
from distrl.networks.torsos import Torso, check_size, check_sizes
from distrl.types import EnvironmentSpec


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
    any size. The arguments are those of `make_atari`, but a section has `blocks`
    residual blocks, and `width` multiplies all channels.
    """
    check_sizes("channels", channels)
    check_size("width", width)
    check_size("blocks", blocks)
    check_sizes("hidden_sizes", hidden_sizes)
    find_image("impala", spec, layout)

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        observation = encode_observation(observation, spec)
        features = to_image(observation, layout)
        for section in channels:
            size = section * width
            features = hk.Conv2D(size, 3)(features)
            features = hk.max_pool(features, (3, 3, 1), (2, 2, 1), "SAME")
            for _ in range(blocks):
                residual = hk.Conv2D(size, 3)(jax.nn.relu(features))
                features += hk.Conv2D(size, 3)(jax.nn.relu(residual))
        features = hk.Flatten()(jax.nn.relu(features))
        features = append_others(features, observation)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso
