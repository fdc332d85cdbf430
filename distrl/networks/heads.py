"""Heads, from features to action values, and IQN's embedding of quantiles."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.factories import check_keywords
from distrl.config.schema import NetworkConfig
from distrl.networks.noisy import Noise, NoisyLinear
from distrl.networks.torsos import check_sizes

_COSINES = 64  # As in the IQN paper.

Head = Callable[[jax.Array, Noise], jax.Array]
"""`(features [B, ..., F], noise) -> values`, a Haiku function."""


class HeadSpec(NamedTuple):
    """The size and layers of a head.

    `num_outputs` is N, the outputs per action; None for a single value without an axis.
    """

    network: NetworkConfig
    num_actions: int
    num_outputs: int | None

    @property
    def width(self) -> int:
        """The outputs per action, 1 or N."""
        return 1 if self.num_outputs is None else self.num_outputs


def make_head(config: NetworkConfig, num_actions: int, num_outputs: int | None) -> Head:
    """Returns the configured head, a Haiku function.

    It returns `[B, ..., A, N]` for N = `num_outputs` per action, such as atoms, and
    `[B, ..., A]` if that is None. Raises ConfigError for invalid `head_args`.
    """
    make = _HEADS[config.head]
    check_keywords("network.head_args", make, config.head_args)
    return make(HeadSpec(config, num_actions, num_outputs), **config.head_args)


def make_none(spec: HeadSpec) -> Head:
    """Returns a head that uses the torso's output as the values."""
    del spec
    return lambda features, noise: features


def make_linear(spec: HeadSpec, hidden_sizes: Sequence[int] = ()) -> Head:
    """Returns hidden layers with ReLUs, then a linear layer."""
    check_sizes("hidden_sizes", hidden_sizes, "network.head_args")

    def head(features: jax.Array, noise: Noise) -> jax.Array:
        sizes = [*hidden_sizes, spec.num_actions * spec.width]
        values = _apply_layers(spec, "values", features, sizes, noise)
        if spec.num_outputs is None:
            return values
        return values.reshape(*features.shape[:-1], spec.num_actions, spec.width)

    return head


def make_dueling(spec: HeadSpec, hidden_sizes: Sequence[int] = ()) -> Head:
    """Returns V + A - mean A over actions (arXiv 1511.06581).

    V and A have separate hidden layers. With N outputs per action, V has N too, and
    each output is combined separately (arXiv 1710.02298).
    """
    check_sizes("hidden_sizes", hidden_sizes, "network.head_args")

    def head(features: jax.Array, noise: Noise) -> jax.Array:
        sizes = [*hidden_sizes, spec.width]
        state_value = _apply_layers(spec, "state_value", features, sizes, noise)
        sizes = [*hidden_sizes, spec.num_actions * spec.width]
        advantage = _apply_layers(spec, "advantage", features, sizes, noise)
        advantage = advantage.reshape(
            *features.shape[:-1], spec.num_actions, spec.width
        )
        advantage -= jnp.mean(advantage, axis=-2, keepdims=True)
        values = state_value[..., None, :] + advantage
        return values if spec.num_outputs is not None else values[..., 0]

    return head


def embed_quantiles(features: jax.Array, tau: jax.Array) -> jax.Array:
    """Returns features times an embedding of each quantile, `[B, N, F]`.

    phi_j(tau) = ReLU(sum_i cos(pi i tau) w_ij + b_j), equation 4 of IQN (arXiv
    1806.06923).

    Args:
      features: `[B, F] float32`.
      tau: `[B, N] float32`, the quantiles' probability levels.
    """
    frequencies = jnp.arange(_COSINES, dtype=jnp.float32)
    cosines = jnp.cos(jnp.pi * frequencies * tau[..., None])
    embedding = hk.Linear(features.shape[-1], name="quantile_embedding")(cosines)
    return features[:, None, :] * jax.nn.relu(embedding)


_HEADS: dict[str, Callable[..., Head]] = {
    "dueling": make_dueling,
    "linear": make_linear,
    "none": make_none,
}


def _apply_layers(
    spec: HeadSpec, name: str, x: jax.Array, sizes: Sequence[int], noise: Noise
) -> jax.Array:
    for index, size in enumerate(sizes):
        x = jax.nn.relu(x) if index > 0 else x
        layer: Any
        if spec.network.noisy:
            layer = NoisyLinear(size, spec.network.noisy_sigma, name=f"{name}_{index}")
            x = layer(x, noise)
        else:
            x = hk.Linear(size, name=f"{name}_{index}")(x)
    return x
