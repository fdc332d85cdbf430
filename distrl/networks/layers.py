"""What networks are made of besides Haiku's modules: noise, cores, initial weights."""

import contextlib
import math
from collections.abc import Callable
from typing import Any, Literal

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import NetworkConfig
from distrl.types import Nest

Mode = Literal["learn", "target", "act", "evaluate"]
"""What a network is used for: it is training in `learn` only; noisy layers draw one
sample per batch in `learn` and `target`, as their paper does, one per element in `act`,
and use the means in `evaluate`."""


class NoisyLinear(hk.Module):
    """A linear layer with noisy weights, sampled at each call (arXiv 1706.10295).

    Factorised noise: y = w x + b + f(e_out) * (sigma_w (f(e_in) * x) + sigma_b) with
    f(e) = sign(e) sqrt(|e|). In this form a sample per batch element costs only two
    matrix products.
    """

    def __init__(self, output_size: int, sigma: float, name: str | None = None):
        """Creates q = `output_size` units with initial noise `sigma` / sqrt(inputs)."""
        super().__init__(name=name)
        self._output_size = output_size
        self._sigma = sigma

    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Returns `[B, ..., q]` for inputs `[B, ..., p] float32`."""
        p, q = inputs.shape[-1], self._output_size
        bound = 1.0 / math.sqrt(p)
        mean_init = hk.initializers.RandomUniform(-bound, bound)
        sigma_init = hk.initializers.Constant(self._sigma * bound)
        w = hk.get_parameter("w", [p, q], init=mean_init)
        b = hk.get_parameter("b", [q], init=mean_init)
        sigma_w = hk.get_parameter("sigma_w", [p, q], init=sigma_init)
        sigma_b = hk.get_parameter("sigma_b", [q], init=sigma_init)
        outputs = inputs @ w + b
        if mode == "evaluate":
            return outputs
        count = inputs.shape[0] if mode == "act" else 1
        sample = jax.random.normal(hk.next_rng_key(), (count, p + q))
        sample = jnp.sign(sample) * jnp.sqrt(jnp.abs(sample))
        sample = sample.reshape(count, *[1] * (inputs.ndim - 2), p + q)
        noise_in, noise_out = sample[..., :p], sample[..., p:]
        return outputs + noise_out * ((noise_in * inputs) @ sigma_w + sigma_b)


def make_initial_carry(config: NetworkConfig, batch_size: int) -> tuple[jax.Array, ...]:
    """Returns zeros: `()`, `([B, N],)` for a GRU, `([B, N], [B, N])` for an LSTM."""
    return tuple(jnp.zeros((batch_size, n)) for n in config.carry_sizes)


def apply_core(
    config: NetworkConfig, features: jax.Array, carry: Nest
) -> tuple[jax.Array, Nest]:
    """Applies the LSTM or GRU to features `[B, F]`, or unrolls it on `[B, T, F]`.

    Returns outputs `[B, ..., core_size]` and the next carry, a plain tuple of arrays.
    """
    core: hk.RNNCore
    if config.core == "lstm":
        core, state = hk.LSTM(config.core_size, name="core"), hk.LSTMState(*carry)
    else:
        core, (state,) = hk.GRU(config.core_size, name="core"), carry
    if features.ndim == 2:
        outputs, state = core(features, state)
    else:
        outputs, state = hk.dynamic_unroll(core, features, state, time_major=False)
    return outputs, tuple(state) if config.core == "lstm" else (state,)


def initialize_layers(config: NetworkConfig) -> contextlib.AbstractContextManager[Any]:
    """Returns the context in which a network's layers initialize their weights.

    `haiku` uses each layer's default: a normal distribution with standard deviation
    1 / sqrt(inputs), truncated at two of them, and biases of 0. `torch` draws weights
    and biases of linear and convolutional layers uniformly within 1 / sqrt(inputs), as
    PyTorch and the original DQN do; after three layers the initial values are about
    five times smaller.
    """
    if config.initial_weights == "haiku":
        return contextlib.nullcontext()
    # A layer creates its bias after its weights, whose shape shows the inputs.
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

    return hk.custom_creator(create)
