"""The acting function of a process: one call of the device for all environments."""

from collections.abc import Callable
from typing import Any

import chex
import jax

from distrl.agents.agent import Agent


def make_policy(agent: Agent) -> Callable[..., tuple[jax.Array, chex.PRNGKey]]:
    """Returns the jitted policy of E environments.

    Returns:
      `policy(params, network_state, key, observation [E, ...], epsilon [E] float32)
      -> (action [E] int32, next_key)`. The next key comes from the same call, which
      is cheaper than a split outside of it.
    """

    @jax.jit
    def policy(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        epsilon: jax.Array,
    ) -> tuple[jax.Array, chex.PRNGKey]:
        next_key, act_key = jax.random.split(key)
        action = agent.act(params, network_state, act_key, observation, epsilon)
        return action, next_key

    return policy
