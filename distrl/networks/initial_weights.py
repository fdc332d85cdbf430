"""What the layers of a network begin with."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax

from distrl.config.schema import NetworkConfig


def begin_layers(config: NetworkConfig) -> contextlib.AbstractContextManager[Any]:
    """Returns the context in which a network's layers get their first weights.

    `haiku` leaves them to each layer: a normal distribution cut at two standard
    deviations of 1 / sqrt(inputs), and biases of 0. `torch` draws weights and biases of
    every linear and convolutional layer from -1 / sqrt(inputs) to 1 / sqrt(inputs), as
    PyTorch's layers do, and those of DQN's first code. So the first values are some
    five times as small after three layers.
    """
    if config.initial_weights == "haiku":
        return contextlib.nullcontext()
    return hk.custom_creator(_make_uniform_creator())


def _make_uniform_creator() -> Callable[..., jax.Array]:
    # A bias comes after its layer's weights, whose shape tells the inputs.
    bounds: dict[str, float] = {}

    def create(
        next_creator: Callable[..., jax.Array],
        shape: Any,
        dtype: Any,
        init: Any,
        context: Any,
    ) -> jax.Array:
        layer, _, name = context.full_name.rpartition("/")
        if isinstance(context.module, (hk.Linear, hk.ConvND)) and name in ("w", "b"):
            if name == "w":
                bounds[layer] = 1.0 / math.sqrt(math.prod(shape[:-1]))
            init = hk.initializers.RandomUniform(-bounds[layer], bounds[layer])
        return next_creator(shape, dtype, init)

    return create
