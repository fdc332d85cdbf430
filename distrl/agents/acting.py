"""From Q values to actions."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Explore = Callable[[chex.PRNGKey, jax.Array, jax.Array, jax.Array | None], jax.Array]
"""`(key, q [B, A], amount [B] float32, legal [B, A] bool | None) -> action [B] int32`;
with an amount of 0 the best legal action, one of the best where several are alike. It
is legal whatever the values are, NaN too. None allows all actions."""


def epsilon_greedy(
    key: chex.PRNGKey,
    q: jax.Array,
    epsilon: jax.Array,
    legal: jax.Array | None = None,
) -> jax.Array:
    """Draws any legal action with a probability of epsilon, the best one otherwise."""
    _check(q, epsilon)
    batch_size, num_actions = q.shape
    # All from one draw: on the CPU each costs more than what is made of it.
    draw = jax.random.uniform(key, (batch_size, num_actions + 2))
    explores = draw[:, 0] < epsilon
    if legal is not None:
        # Of values that are all alike `pick_best` draws one.
        values = jnp.where(explores[:, None], 0.0, q)
        return pick_best(_forbid(values, legal), draw[:, 2:])
    # A draw is below 1, but its product may be rounded up.
    action = jnp.minimum((draw[:, 1] * num_actions).astype(jnp.int32), num_actions - 1)
    return jnp.where(explores, action, pick_best(q, draw[:, 2:]))


def boltzmann(
    key: chex.PRNGKey,
    q: jax.Array,
    temperature: jax.Array,
    legal: jax.Array | None = None,
) -> jax.Array:
    """Draws legal actions from the softmax of Q / temperature; 0 is the best one."""
    _check(q, temperature)
    noise_key, best_key = jax.random.split(key)
    # Gumbel's trick, written so that a temperature of 0 needs no division.
    noise = jax.random.gumbel(noise_key, q.shape)
    values = q + temperature[:, None] * noise
    if legal is not None:
        values = _forbid(values, legal)
    return pick_best(values, jax.random.uniform(best_key, q.shape))


def pick_best(values: jax.Array, draw: jax.Array) -> jax.Array:
    """Returns the places of the largest values, `[B] int32`.

    RLax compares values with their maximum. XLA may compute the two apart from each
    other and round them differently, and then none is the best. Here each value is
    read once.

    Args:
      values: `[B, A] float32`.
      draw: `[B, A] float32`, from 0 to 1; of values that are alike the one with the
        largest draw is taken.
    """

    def choose(one: tuple, other: tuple) -> tuple:
        is_better = other[0] > one[0]
        is_better |= (other[0] == one[0]) & (other[1] > one[1])
        return jax.tree.map(lambda x, y: jnp.where(is_better, y, x), one, other)

    places = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    lowest = (jnp.float32(-jnp.inf), jnp.float32(-1.0), jnp.int32(0))
    _, _, best = jax.lax.reduce((values, draw, places), lowest, choose, (1,))
    return best


def _forbid(values: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns values of which every legal one is larger than every other."""
    return jnp.where(legal, jnp.nan_to_num(values), -jnp.inf)


def _check(q: jax.Array, amount: jax.Array) -> None:
    chex.assert_rank([q, amount], [2, 1])
    chex.assert_equal_shape_prefix([q, amount], 1)
    chex.assert_type(q, jnp.float32)
