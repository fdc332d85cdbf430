"""The acting function of a process: one call of the device for all environments."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import numpy as np

from distrl.agents.agent import Agent
from distrl.types import EnvironmentSpec


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


def compile_policy(
    policy: Callable[..., Any], agent: Agent, spec: EnvironmentSpec, count: int
) -> None:
    """Compiles the policy of `count` environments before there are parameters."""
    key = jax.random.PRNGKey(0)
    shapes = jax.eval_shape(agent.init, key)
    params, network_state = jax.device_put(
        jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    )
    observation = jax.tree.map(
        lambda leaf: np.zeros((count, *leaf.shape), leaf.dtype), spec.observation
    )
    epsilon = np.zeros(count, np.float32)
    policy(params, network_state, key, observation, epsilon)
