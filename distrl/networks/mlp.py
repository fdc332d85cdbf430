"""The multilayer perceptron."""

from collections.abc import Sequence
from typing import Any

import haiku as hk
import jax

from distrl.networks.arguments import check_sizes
from distrl.networks.observations import flatten
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec


def make_mlp(spec: EnvironmentSpec, hidden_sizes: Sequence[int] = (64, 64)) -> Torso:
    """Returns an MLP with ReLUs on the flattened, concatenated observation.

    Args:
      spec: any nest of observations.
      hidden_sizes: the units of each layer; none leaves the observation as it is.

    Raises:
      ConfigError: `hidden_sizes` is no list of positive integers.
    """
    check_sizes("hidden_sizes", hidden_sizes)

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        return hk.nets.MLP(hidden_sizes, activate_final=True)(flatten(observation))

    return torso
