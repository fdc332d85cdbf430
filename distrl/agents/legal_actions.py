"""Action masks in losses and policies: the legal actions, and values without others."""

from typing import Any

import jax
import jax.numpy as jnp

from distrl.action_masks import split_mask

ILLEGAL = -1e30
"""The value of an illegal action. It is finite, so that 0 times it is 0."""


def find_legal(observation: Any) -> jax.Array | None:
    """Returns which actions are legal, `[..., A] bool`; None without a mask.

    A mask of zeros alone, as after the end of an episode, counts as one of ones: no
    value there is used, and all stay finite.

    Args:
      observation: nest of arrays `[..., ...]`.
    """
    _, mask = split_mask(observation)
    if mask is None:
        return None
    legal = mask.astype(bool)
    return legal | ~jnp.any(legal, axis=-1, keepdims=True)


def restrict(values: jax.Array, legal: jax.Array | None) -> jax.Array:
    """Returns values with `ILLEGAL` for the actions that are not legal.

    Args:
      values: `[..., A] float32`, one value for each action.
      legal: `[..., A] bool`; None returns the values as they are.
    """
    return values if legal is None else jnp.where(legal, values, ILLEGAL)
