"""Heads, from features to action values, and IQN's embedding of quantiles."""

import math
from collections.abc import Callable, Sequence

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.factories import check_keywords
from distrl.config.schema import NetworkConfig
from distrl.networks.layers import Mode, NoisyLinear
from distrl.networks.torsos import check_sizes

_COSINES = 64  # As in the IQN paper.

Head = Callable[[jax.Array, Mode], jax.Array]
"""`(features [B, ..., F], mode) -> values`, a Haiku function."""

_Layers = Callable[[str, jax.Array, Sequence[int]], jax.Array]
"""`(name, inputs, sizes) -> outputs`: linear layers with ReLUs between them."""


def make_head(config: NetworkConfig, num_actions: int, num_outputs: int | None) -> Head:
    """Returns the configured head, a Haiku function.

    It returns `[B, ..., A, N]` for N = `num_outputs` per action, such as atoms, and
    `[B, ..., A]` if that is None. Raises ConfigError for invalid `head_args`.
    """
    compute = _HEADS[config.head]
    check_keywords("network.head_args", compute, config.head_args, positional=3)
    check_sizes("network.head_args", compute, config.head_args)
    shape = (num_actions, 1 if num_outputs is None else num_outputs)

    def head(features: jax.Array, mode: Mode) -> jax.Array:
        def layers(name: str, x: jax.Array, sizes: Sequence[int]) -> jax.Array:
            for index, size in enumerate(sizes):
                x = jax.nn.relu(x) if index > 0 else x
                layer = f"{name}_{index}"
                if config.noisy:
                    x = NoisyLinear(size, config.noisy_sigma, name=layer)(x, mode)
                else:
                    x = hk.Linear(size, name=layer)(x)
            return x

        values = compute(features, layers, shape, **config.head_args)
        if num_outputs is None and config.head != "none":
            return values[..., 0]
        return values

    return head


def none(features: jax.Array, layers: _Layers, shape: tuple[int, int]) -> jax.Array:
    """Returns the torso's output as the values."""
    del layers, shape
    return features


def linear(
    features: jax.Array,
    layers: _Layers,
    shape: tuple[int, int],
    hidden_sizes: Sequence[int] = (),
) -> jax.Array:
    """Returns hidden layers with ReLUs, then a linear layer, `[B, ..., A, N]`."""
    values = layers("values", features, [*hidden_sizes, math.prod(shape)])
    return values.reshape(*features.shape[:-1], *shape)


def dueling(
    features: jax.Array,
    layers: _Layers,
    shape: tuple[int, int],
    hidden_sizes: Sequence[int] = (),
) -> jax.Array:
    """Returns V + A - mean A over actions (arXiv 1511.06581), `[B, ..., A, N]`.

    V and A have separate hidden layers. With N outputs per action, V has N too, and
    each output is combined separately (arXiv 1710.02298).
    """
    state_value = layers("state_value", features, [*hidden_sizes, shape[1]])
    advantage = layers("advantage", features, [*hidden_sizes, math.prod(shape)])
    advantage = advantage.reshape(*features.shape[:-1], *shape)
    advantage -= jnp.mean(advantage, axis=-2, keepdims=True)
    return state_value[..., None, :] + advantage


def embed_quantiles(features: jax.Array, tau: jax.Array) -> jax.Array:
    """Returns features times an embedding of each quantile, `[B, N, F]`.

    phi_j(tau) = ReLU(sum_i cos(pi i tau) w_ij + b_j), equation 4 of IQN (arXiv
    1806.06923). `features` are `[B, F] float32`; `tau` `[B, N] float32` are the
    quantiles' probability levels.
    """
    frequencies = jnp.arange(_COSINES, dtype=jnp.float32)
    cosines = jnp.cos(jnp.pi * frequencies * tau[..., None])
    embedding = hk.Linear(features.shape[-1], name="quantile_embedding")(cosines)
    return features[:, None, :] * jax.nn.relu(embedding)


_HEADS: dict[str, Callable[..., jax.Array]] = {
    "dueling": dueling,
    "linear": linear,
    "none": none,
}
