"""Choice of actions from action values: epsilon-greedy and Boltzmann exploration."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Explore = Callable[[chex.PRNGKey, jax.Array, jax.Array, jax.Array | None], jax.Array]
"""`(key, q, exploration, legal) -> action`, `[B] int32`: legal actions even if action
values are NaN. `q` is `[B, A] float32`; `exploration`, `[B] float32`: 0 takes a best
legal action, ties broken at random; `legal`, `[B, A] bool`: None allows all."""


def epsilon_greedy(
    key: chex.PRNGKey,
    q: jax.Array,
    epsilon: jax.Array,
    legal: jax.Array | None = None,
) -> jax.Array:
    """Takes a random legal action with probability epsilon, else a best one."""
    batch_size, num_actions = q.shape
    # A single draw for everything: on the CPU, draws cost more than their use.
    draw = jax.random.uniform(key, (batch_size, num_actions + 2))
    explores = draw[:, 0] < epsilon
    if legal is not None:
        # `pick_best` takes a random one of equal values.
        values = jnp.where(explores[:, None], 0.0, q)
        return pick_best(_forbid(values, legal), draw[:, 2:])
    # A draw is below 1, but the product may be rounded up.
    action = jnp.minimum((draw[:, 1] * num_actions).astype(jnp.int32), num_actions - 1)
    return jnp.where(explores, action, pick_best(q, draw[:, 2:]))


def boltzmann(
    key: chex.PRNGKey,
    q: jax.Array,
    temperature: jax.Array,
    legal: jax.Array | None = None,
) -> jax.Array:
    """Samples legal actions from softmax(q / temperature); 0 takes a best one."""
    noise_key, best_key = jax.random.split(key)
    # The Gumbel-max trick, in a form that allows a temperature of 0.
    noise = jax.random.gumbel(noise_key, q.shape)
    values = q + temperature[:, None] * noise
    if legal is not None:
        values = _forbid(values, legal)
    return pick_best(values, jax.random.uniform(best_key, q.shape))


def pick_best(values: jax.Array, draw: jax.Array) -> jax.Array:
    """Returns argmax indices `[B] int32` of values `[B, A] float32`.

    The largest of the random numbers `draw` `[B, A] float32` in [0, 1) wins a tie. RLax
    compares the values with their maximum, but XLA may compute the two separately and
    round them differently, so that no value equals it. Here each value is read once.
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
    """Returns values whose illegal entries are below all legal ones."""
    return jnp.where(legal, jnp.nan_to_num(values), -jnp.inf)
