"""From Q values to actions."""

import warnings
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import rlax

Explore = Callable[[chex.PRNGKey, jax.Array, jax.Array], jax.Array]
"""`(key, q [B, A], amount [B] float32) -> action [B] int32`; with an amount of 0 the
best action, one of the best where several are alike."""


def epsilon_greedy(key: chex.PRNGKey, q: jax.Array, epsilon: jax.Array) -> jax.Array:
    """Draws any action with a probability of epsilon, the best one otherwise."""
    with warnings.catch_warnings():  # RLax says that it may move to Distrax.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        sample = jax.vmap(rlax.epsilon_greedy().sample)
    return _draw(sample, key, q, epsilon)


def boltzmann(key: chex.PRNGKey, q: jax.Array, temperature: jax.Array) -> jax.Array:
    """Draws actions from the softmax of Q / temperature; 0 is the best action."""

    def sample(key: chex.PRNGKey, q: jax.Array, temperature: jax.Array) -> jax.Array:
        # Gumbel's trick, written so that a temperature of 0 needs no division; the
        # same noise breaks the ties that it leaves.
        noise = jax.random.gumbel(key, q.shape)
        noisy = q + temperature * noise
        return jnp.argmax(jnp.where(noisy == jnp.max(noisy), noise, -jnp.inf))

    return _draw(jax.vmap(sample), key, q, temperature)


def _draw(
    sample: Callable[..., jax.Array],
    key: chex.PRNGKey,
    q: jax.Array,
    amount: jax.Array,
) -> jax.Array:
    chex.assert_rank([q, amount], [2, 1])
    chex.assert_equal_shape_prefix([q, amount], 1)
    keys = jax.random.split(key, amount.shape[0])
    return sample(keys, q, amount).astype(jnp.int32)
