"""From Q values to actions."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Explore = Callable[[chex.PRNGKey, jax.Array, jax.Array], jax.Array]
"""`(key, q [B, A], amount [B] float32) -> action [B] int32`; with an amount of 0 the
best action, one of the best where several are alike."""


def epsilon_greedy(key: chex.PRNGKey, q: jax.Array, epsilon: jax.Array) -> jax.Array:
    """Draws any action with a probability of epsilon, the best one otherwise."""

    def sample(key: chex.PRNGKey, q: jax.Array, epsilon: jax.Array) -> jax.Array:
        coin_key, action_key, best_key = jax.random.split(key, 3)
        action = jax.random.randint(action_key, (), 0, q.size)
        explores = jax.random.uniform(coin_key) < epsilon
        return jnp.where(explores, action, _pick_best(best_key, q))

    return _draw(sample, key, q, epsilon)


def boltzmann(key: chex.PRNGKey, q: jax.Array, temperature: jax.Array) -> jax.Array:
    """Draws actions from the softmax of Q / temperature; 0 is the best action."""

    def sample(key: chex.PRNGKey, q: jax.Array, temperature: jax.Array) -> jax.Array:
        # Gumbel's trick, written so that a temperature of 0 needs no division.
        noise_key, best_key = jax.random.split(key)
        noise = jax.random.gumbel(noise_key, q.shape)
        return _pick_best(best_key, q + temperature * noise)

    return _draw(sample, key, q, temperature)


def _pick_best(key: chex.PRNGKey, values: jax.Array) -> jax.Array:
    """Returns the place of the largest of `[A]`, of several alike any.

    RLax compares values with their maximum. XLA may compute the two apart from each
    other and round them differently, and then none is the best; so `argmax` it is, of
    a random order.
    """
    order = jax.random.permutation(key, values.size)
    return order[jnp.argmax(values[order])]


def _draw(
    sample: Callable[..., jax.Array],
    key: chex.PRNGKey,
    q: jax.Array,
    amount: jax.Array,
) -> jax.Array:
    chex.assert_rank([q, amount], [2, 1])
    chex.assert_equal_shape_prefix([q, amount], 1)
    keys = jax.random.split(key, amount.shape[0])
    return jax.vmap(sample)(keys, q, amount).astype(jnp.int32)
