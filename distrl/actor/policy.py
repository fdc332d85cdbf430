"""Acting in E environments: one call of the device for all of them."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents.acting import Explore
from distrl.agents.agent import Agent
from distrl.agents.legal_actions import find_legal, restrict
from distrl.networks.value_network import Mode
from distrl.types import EnvironmentSpec


class Choice(NamedTuple):
    """What a player chose.

    Attributes:
      action: `[E] int32`, numpy.
      q: `[E, A] float32`, the values that it was chosen by, on the device; those of
        illegal actions are `ILLEGAL`.
      carry: nest of `[E, ...]`, the recurrent state before the step, on the device.
    """

    action: np.ndarray
    q: jax.Array
    carry: Any


def place(nest: Any) -> Any:
    """Returns a nest of arrays on the device that a player acts on, bound to it.

    Where some arrays of a call are bound to a device and others are not, JAX compiles
    it once more.
    """
    return jax.device_put(nest, jax.local_devices()[0])


class Player:
    """Acts in E environments; holds their recurrent states and the random key."""

    def __init__(
        self, agent: Agent, explore: Explore, mode: Mode, count: int, key: chex.PRNGKey
    ):
        """Starts E episodes.

        Args:
          agent: whose values are acted on.
          explore: from values to actions.
          mode: `act` or `evaluate`, what the network is applied for.
          count: E.
          key: a raw key.
        """
        self._agent = agent
        self._count = count
        self._key = place(key)
        self._carry = self._initial = place(agent.initial_carry(count))

        @jax.jit
        def choose(
            params: Any,
            network_state: Any,
            key: chex.PRNGKey,
            observation: Any,
            carry: Any,
            amount: jax.Array,
        ) -> tuple[jax.Array, jax.Array, Any, chex.PRNGKey]:
            # The next key from the same call is cheaper than a split outside of it.
            next_key, network_key, action_key = jax.random.split(key, 3)
            q, carry = agent.q_values(
                params, network_state, network_key, observation, carry, mode
            )
            legal = find_legal(observation)
            action = explore(action_key, q, amount, legal)
            return action, restrict(q, legal), carry, next_key

        @jax.jit
        def reset(carry: Any, initial: Any, ended: jax.Array) -> Any:
            def pick(x: jax.Array, start: jax.Array) -> jax.Array:
                where = ended.reshape(-1, *[1] * (x.ndim - 1))
                return jnp.where(where, start, x)

            return jax.tree.map(pick, carry, initial)

        self._choose = choose
        self._reset = reset

    def act(
        self, params: Any, network_state: Any, observation: Any, amount: np.ndarray
    ) -> Choice:
        """Chooses an action in each environment.

        Args:
          params: the network's parameters, placed by `place`.
          network_state: the network's state, too.
          observation: nest of `[E, ...]`.
          amount: `[E] float32`, of exploration; 0 is greedy.
        """
        carry = self._carry
        action, q, self._carry, self._key = self._choose(
            params, network_state, self._key, observation, carry, amount
        )
        return Choice(np.asarray(action), q, carry)

    def end_episodes(self, last_t: np.ndarray) -> None:
        """Forgets the recurrent state where `last_t [E] bool` says that one ended."""
        if self._initial != () and last_t.any():
            self._carry = self._reset(self._carry, self._initial, last_t)

    def start_anew(self, key: chex.PRNGKey) -> None:
        """Starts E episodes, and draws from another key."""
        self._key = place(key)
        self._carry = self._initial

    def compile(self, spec: EnvironmentSpec) -> None:
        """Compiles everything before there are parameters; changes no state."""
        shapes = jax.eval_shape(self._agent.init, self._key)
        params, network_state = place(
            jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        )
        observation = jax.tree.map(
            lambda leaf: np.zeros((self._count, *leaf.shape), leaf.dtype),
            spec.observation,
        )
        amount = np.zeros(self._count, np.float32)
        self._choose(params, network_state, self._key, observation, self._carry, amount)
        if self._initial != ():
            self._reset(self._carry, self._initial, np.zeros(self._count, bool))
