"""Heads: from features to action values; the quantile embedding of IQN."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import NetworkConfig
from distrl.factories import check_keywords
from distrl.networks.noisy import Noise, NoisyLinear
from distrl.networks.torsos import check_sizes

_COSINES = 64  # As in the paper of IQN.

Head = Callable[[jax.Array, Noise], jax.Array]
"""`(features [B, ..., F], noise) -> values`, a Haiku function."""


class HeadSpec(NamedTuple):
    """The size and layers of a head.

    Attributes:
      network: `noisy` and `noisy_sigma` are read.
      num_actions: A.
      num_outputs: N, the outputs of an action; None for a single value without an axis.
    """

    network: NetworkConfig
    num_actions: int
    num_outputs: int | None

    @property
    def width(self) -> int:
        """The outputs of an action, 1 or N."""
        return 1 if self.num_outputs is None else self.num_outputs


def make_head(config: NetworkConfig, num_actions: int, num_outputs: int | None) -> Head:
    """Returns the head of a configuration.

    Args:
      config: `head`, `head_args`, `noisy` and `noisy_sigma` are read.
      num_actions: A.
      num_outputs: N, the outputs of an action, for example its atoms; None for a
        single value.

    Returns:
      A Haiku function that returns `[B, ..., A]`, or `[B, ..., A, N]`.

    Raises:
      ConfigError: the head does not take the arguments.
    """
    make = _HEADS[config.head]
    check_keywords("network.head_args", make, config.head_args)
    return make(HeadSpec(config, num_actions, num_outputs), **config.head_args)


def make_none(spec: HeadSpec) -> Head:
    """Returns the head that uses the torso's output as the values."""
    del spec
    return lambda features, noise: features


def make_linear(spec: HeadSpec, hidden_sizes: Sequence[int] = ()) -> Head:
    """Returns hidden layers with ReLUs, then a linear layer of all values."""
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

    V and A have separate hidden layers. If an action has N outputs, so has V, and
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
      tau: `[B, N] float32`, probability levels of the quantiles.
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
    """Applies linear layers, noisy if configured, with ReLUs in between."""
    for index, size in enumerate(sizes):
        x = jax.nn.relu(x) if index > 0 else x
        layer: Any
        if spec.network.noisy:
            layer = NoisyLinear(size, spec.network.noisy_sigma, name=f"{name}_{index}")
            x = layer(x, noise)
        else:
            x = hk.Linear(size, name=f"{name}_{index}")(x)
    return x
