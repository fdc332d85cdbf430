"""The quantile embedding of implicit quantile networks (IQN, arXiv 1806.06923)."""

import haiku as hk
import jax
import jax.numpy as jnp

_COSINES = 64


def embed_quantiles(features: jax.Array, tau: jax.Array) -> jax.Array:
    """Returns features times an embedding of each quantile, `[B, N, F]`.

    phi_j(tau) = ReLU(sum_i cos(pi i tau) w_ij + b_j), equation 4 of the paper.

    Args:
      features: `[B, F] float32`.
      tau: `[B, N] float32`, from 0 to 1.
    """
    frequencies = jnp.arange(_COSINES, dtype=jnp.float32)
    cosines = jnp.cos(jnp.pi * frequencies * tau[..., None])
    embedding = hk.Linear(features.shape[-1], name="quantile_embedding")(cosines)
    return features[:, None, :] * jax.nn.relu(embedding)
