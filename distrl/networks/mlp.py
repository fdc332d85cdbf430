"""The multilayer perceptron."""

from collections.abc import Sequence
from typing import Any

import haiku as hk
import jax

from distrl.networks.observations import (
    check_one_hot,
    encode_observation,
    flatten,
)
from distrl.networks.torsos import Torso, check_sizes
from distrl.types import EnvironmentSpec


def make_mlp(spec: EnvironmentSpec, hidden_sizes: Sequence[int] = (64, 64)) -> Torso:
    """Returns an MLP with ReLUs on the flattened, concatenated observation.

    Discrete observations are encoded one-hot; without `hidden_sizes` the observation is
    returned as it is.
    """
    check_sizes("hidden_sizes", hidden_sizes)
    check_one_hot("mlp", spec)

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        features = flatten(encode_observation(observation, spec))
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso
