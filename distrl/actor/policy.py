"""The policy of E environments: one device call acts in all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents.acting import Explore
from distrl.agents.agent import Agent
from distrl.agents.legal_actions import find_legal, restrict
from distrl.networks.layers import Mode
from distrl.types import EnvironmentSpec, Nest

_Arrays = TypeVar("_Arrays")


class Choice(NamedTuple):
    """The actions chosen in E environments.

    Attributes:
      action: `[E] int32`, numpy.
      q: `[E, A] float32`, the action values they were chosen by, on the device;
        `ILLEGAL` for illegal actions.
      carry: nest of `[E, ...]`, the recurrent state before the step, on the device.
    """

    action: np.ndarray
    q: jax.Array
    carry: Nest


def place(nest: _Arrays) -> _Arrays:
    """Returns a nest of arrays committed to the device that policies act on.

    A call with both committed and uncommitted arrays would be compiled again.
    """
    return jax.device_put(nest, jax.local_devices()[0])


def make_choose(agent: Agent, explore: Explore, mode: Mode) -> Callable[..., Any]:
    """Returns the jitted function that chooses actions for `[B, ...]` observations.

    `(params, network_state, key, observation, carry, exploration) -> (action, q, carry,
    next key)`, with actions and values as in `Choice`.
    """

    @jax.jit
    def choose(
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        observation: Nest,
        carry: Nest,
        exploration: jax.Array,
    ) -> tuple[jax.Array, jax.Array, Nest, chex.PRNGKey]:
        # Splitting inside this call is cheaper than outside.
        next_key, network_key, action_key = jax.random.split(key, 3)
        q, carry = agent.q_values(
            params, network_state, network_key, observation, carry, mode
        )
        legal = find_legal(observation)
        action = explore(action_key, q, exploration, legal)
        return action, restrict(q, legal), carry, next_key

    return choose


def reset_where(carry: Nest, initial: Nest, ended: jax.Array) -> Nest:
    """Returns a carry that is initial where an episode ended, `ended [B] bool`."""

    def pick(x: jax.Array, start: jax.Array) -> jax.Array:
        return jnp.where(ended.reshape(-1, *[1] * (x.ndim - 1)), start, x)

    return jax.tree.map(pick, carry, initial)


class Policy:
    """Acts in E environments; holds their recurrent states and the random key."""

    def __init__(
        self, agent: Agent, explore: Explore, mode: Mode, count: int, key: chex.PRNGKey
    ):
        """Starts E = `count` episodes; `key` is a raw key."""
        self._agent = agent
        self._count = count
        self._key = place(key)
        self._carry = self._initial = place(agent.initial_carry(count))
        self._choose = make_choose(agent, explore, mode)

        @jax.jit
        def reset(carry: Nest, initial: Nest, ended: jax.Array) -> Nest:
            return reset_where(carry, initial, ended)

        self._reset = reset

    def act(
        self,
        params: hk.Params,
        network_state: hk.State,
        observation: Nest,
        exploration: np.ndarray,
    ) -> Choice:
        """Chooses an action in each environment, for an observation nest of `[E, ...]`.

        `params` and `network_state` must be placed by `place`. The exploration, `[E]
        float32`, is the epsilon or temperature; 0 is greedy.
        """
        carry = self._carry
        action, q, self._carry, self._key = self._choose(
            params, network_state, self._key, observation, carry, exploration
        )
        return Choice(np.asarray(action), q, carry)

    def end_episodes(self, last_t: np.ndarray) -> None:
        """Resets the recurrent state where an episode ended: `last_t [E] bool`."""
        if self._initial != () and last_t.any():
            self._carry = self._reset(self._carry, self._initial, last_t)

    def restart(self, key: chex.PRNGKey) -> None:
        """Starts E episodes with another key."""
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
        greedy = np.zeros(self._count, np.float32)
        self._choose(params, network_state, self._key, observation, self._carry, greedy)
        if self._initial != ():
            self._reset(self._carry, self._initial, np.zeros(self._count, bool))
