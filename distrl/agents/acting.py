"""From Q values to actions."""

import warnings
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import rlax


def make_epsilon_greedy(q_values: Callable[..., jax.Array]) -> Callable:
    """Returns the `act` of an `Agent` that acts epsilon-greedily on its Q values.

    Args:
      q_values: the `q_values` of that agent.
    """
    with warnings.catch_warnings():  # RLax says that it may move to Distrax.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        sample = jax.vmap(rlax.epsilon_greedy().sample)

    def act(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        epsilon: jax.Array,
    ) -> jax.Array:
        network_key, action_key = jax.random.split(key)
        q = q_values(params, network_state, network_key, observation)
        chex.assert_rank([q, epsilon], [2, 1])
        chex.assert_equal_shape_prefix([q, epsilon], 1)
        keys = jax.random.split(action_key, epsilon.shape[0])
        return sample(keys, q, epsilon).astype(jnp.int32)

    return act
