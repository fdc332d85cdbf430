"""Recurrent cores and their initial state."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import NetworkConfig
from distrl.types import Nest


class Core:
    """A Haiku module of a recurrent core, whose state is a plain tuple of arrays."""

    def __init__(self, config: NetworkConfig):
        """Builds the configured LSTM or GRU."""
        self._is_lstm = config.core == "lstm"
        kind = hk.LSTM if self._is_lstm else hk.GRU
        self._core = kind(config.core_size, name="core")

    def step(self, features: jax.Array, carry: Nest) -> tuple[jax.Array, Nest]:
        """Returns outputs `[B, core_size]` for `[B, F]`, and the next carry."""
        outputs, state = self._core(features, self._pack(carry))
        return outputs, self._unpack(state)

    def unroll(self, features: jax.Array, carry: Nest) -> tuple[jax.Array, Nest]:
        """Returns outputs `[B, T, core_size]` for `[B, T, F]`, and the next carry."""
        outputs, state = hk.dynamic_unroll(
            self._core, features, self._pack(carry), time_major=False
        )
        return outputs, self._unpack(state)

    def _pack(self, carry: Nest) -> Any:
        return hk.LSTMState(*carry) if self._is_lstm else carry[0]

    def _unpack(self, state: Any) -> Any:
        return (state.hidden, state.cell) if self._is_lstm else (state,)


def make_initial_carry(config: NetworkConfig, batch_size: int) -> tuple[Any, ...]:
    """Returns zeros: `()`, `([B, N],)` for a GRU, `([B, N], [B, N])` for an LSTM."""
    return tuple(jnp.zeros((batch_size, n)) for n in config.carry_sizes)
