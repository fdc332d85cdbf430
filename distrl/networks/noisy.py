"""Noisy linear layers (NoisyNet, arXiv 1706.10295)."""

from typing import Literal

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

Noise = Literal["none", "shared", "each"]
"""`none` uses the means; `shared` draws one sample per batch, as the paper does when
learning; `each` draws one per element of the batch."""


class NoisyLinear(hk.Module):
    """A linear layer with noisy weights, sampled at each call.

    Factorised noise: y = w x + b + f(e_out) * (sigma_w (f(e_in) * x) + sigma_b) with
    f(e) = sign(e) sqrt(|e|). In this form a sample per batch element costs only two
    matrix products.
    """

    def __init__(self, output_size: int, sigma: float, name: str | None = None):
        """Creates q = `output_size` units with initial noise `sigma` / sqrt(inputs)."""
        super().__init__(name=name)
        self._output_size = output_size
        self._sigma = sigma

    def __call__(self, inputs: jax.Array, noise: Noise) -> jax.Array:
        """Returns `[B, ..., q]` for inputs `[B, ..., p] float32`."""
        p, q = inputs.shape[-1], self._output_size
        bound = 1.0 / np.sqrt(p)
        mean_init = hk.initializers.RandomUniform(-bound, bound)
        sigma_init = hk.initializers.Constant(self._sigma * bound)
        w = hk.get_parameter("w", [p, q], init=mean_init)
        b = hk.get_parameter("b", [q], init=mean_init)
        sigma_w = hk.get_parameter("sigma_w", [p, q], init=sigma_init)
        sigma_b = hk.get_parameter("sigma_b", [q], init=sigma_init)
        outputs = inputs @ w + b
        if noise == "none":
            return outputs
        count = inputs.shape[0] if noise == "each" else 1
        sample = jax.random.normal(hk.next_rng_key(), (count, p + q))
        sample = jnp.sign(sample) * jnp.sqrt(jnp.abs(sample))
        sample = sample.reshape(count, *[1] * (inputs.ndim - 2), p + q)
        noise_in, noise_out = sample[..., :p], sample[..., p:]
        return outputs + noise_out * ((noise_in * inputs) @ sigma_w + sigma_b)
