"""An agent whose recurrent state is the number of steps of the episode so far."""

import jax
import jax.numpy as jnp

from distrl.agents import Agent


def make_counter(config, spec):
    """Takes the action `step % A`; needs `network.core = gru` of one unit."""
    del config

    def init(key):
        del key
        return {"~": {"q": jnp.zeros(())}}, {}

    def q_values(params, network_state, key, observation, carry, mode):
        del params, network_state, key, observation, mode
        (steps,) = carry
        best = steps[:, 0].astype(jnp.int32) % spec.num_actions
        return jax.nn.one_hot(best, spec.num_actions), (steps + 1,)

    def initial_carry(batch_size):
        return (jnp.zeros((batch_size, 1)),)

    return Agent(init, initial_carry, q_values, loss=None)
