"""Heads: from features to the values of every action."""

from collections.abc import Callable, Sequence
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import NetworkConfig
from distrl.factories import check_keywords
from distrl.networks.mlp import check_sizes
from distrl.networks.noisy import Noise, NoisyLinear

Head = Callable[[jax.Array, Noise], jax.Array]
"""`(features [B, ..., F], noise) -> values`, a Haiku function."""


def make_head(config: NetworkConfig, num_actions: int, num_outputs: int | None) -> Head:
    """Returns the head of a configuration.

    Args:
      config: `head`, `head_args`, `noisy` and `noisy_sigma` are read.
      num_actions: A.
      num_outputs: N, the values of an action, for example its atoms; None for one.

    Returns:
      A Haiku function that gives `[B, ..., A]`, or `[B, ..., A, N]`.

    Raises:
      ConfigError: the head does not take the arguments.
    """
    if config.head == "none":
        check_keywords("network.head_args", _take_features, config.head_args)
        return _take_features
    make = {"linear": _make_linear, "dueling": _make_dueling}[config.head]
    check_keywords("network.head_args", make, config.head_args)
    return make((config, num_actions, num_outputs), **config.head_args)


def _take_features(features: jax.Array, noise: Noise = "none") -> jax.Array:
    del noise
    return features


def _make_linear(
    shape: tuple[NetworkConfig, int, int | None], hidden_sizes: Sequence[int] = ()
) -> Head:
    config, num_actions, num_outputs = shape
    check_sizes("hidden_sizes", hidden_sizes, "network.head_args")

    def head(features: jax.Array, noise: Noise) -> jax.Array:
        size = num_actions * (num_outputs or 1)
        values = _apply_layers(config, "values", features, [*hidden_sizes, size], noise)
        return _split_outputs(values, num_actions, num_outputs)

    return head


def _make_dueling(
    shape: tuple[NetworkConfig, int, int | None], hidden_sizes: Sequence[int] = ()
) -> Head:
    """Returns V + A - mean A over actions (arXiv 1511.06581)."""
    config, num_actions, num_outputs = shape
    check_sizes("hidden_sizes", hidden_sizes, "network.head_args")

    def head(features: jax.Array, noise: Noise) -> jax.Array:
        width = num_outputs or 1
        state_value = _apply_layers(
            config, "state_value", features, [*hidden_sizes, width], noise
        )
        advantage = _apply_layers(
            config, "advantage", features, [*hidden_sizes, num_actions * width], noise
        )
        advantage = _split_outputs(advantage, num_actions, width)
        values = state_value[..., None, :] + advantage
        values -= jnp.mean(advantage, axis=-2, keepdims=True)
        return values if num_outputs is not None else values[..., 0]

    return head


def _apply_layers(
    config: NetworkConfig, name: str, x: jax.Array, sizes: Sequence[int], noise: Noise
) -> jax.Array:
    """Applies linear layers, noisy ones if so configured, with ReLUs in between."""
    for index, size in enumerate(sizes):
        x = jax.nn.relu(x) if index > 0 else x
        layer: Any
        if config.noisy:
            layer = NoisyLinear(size, config.noisy_sigma, name=f"{name}_{index}")
            x = layer(x, noise)
        else:
            x = hk.Linear(size, name=f"{name}_{index}")(x)
    return x


def _split_outputs(
    values: jax.Array, num_actions: int, num_outputs: int | None
) -> jax.Array:
    if num_outputs is None:
        return values
    return values.reshape(*values.shape[:-1], num_actions, num_outputs)
