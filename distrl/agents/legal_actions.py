"""Action masks in losses and policies."""

import jax
import jax.numpy as jnp

from distrl.action_masks import split_mask
from distrl.types import Nest

ILLEGAL = -1e30
"""The value of an illegal action, finite so that 0 times it is 0."""


def find_legal(observation: Nest) -> jax.Array | None:
    """Returns the legal actions, `[..., A] bool`; None without a mask.

    A mask of only zeros, as in padding, counts as all ones: the values there are unused
    and stay finite.
    """
    _, mask = split_mask(observation)
    if mask is None:
        return None
    legal = mask.astype(bool)
    return legal | ~jnp.any(legal, axis=-1, keepdims=True)


def restrict(values: jax.Array, legal: jax.Array | None) -> jax.Array:
    """Sets values `[..., A] float32` of actions outside of `legal` to `ILLEGAL`."""
    return values if legal is None else jnp.where(legal, values, ILLEGAL)
