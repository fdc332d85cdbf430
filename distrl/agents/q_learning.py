"""Q-learning on expected returns: DQN and Double DQN."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import rlax

from distrl.agents.agent import Agent, LossOutput
from distrl.agents.td_errors import td_loss
from distrl.config.schema import Config
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec, Transition

_TRANSFORMS = {
    "none": rlax.IDENTITY_PAIR,
    "signed_hyperbolic": rlax.SIGNED_HYPERBOLIC_PAIR,
}


def make_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns DQN (arXiv 1312.5602): the target network selects and evaluates."""
    return _make_q_learning(config, spec, is_double=False)


def make_double_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns Double DQN (arXiv 1509.06461): the online network selects."""
    return _make_q_learning(config, spec, is_double=True)


def q_learning_td_error(
    q_tm1: jax.Array,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    q_target_t: jax.Array,
    q_selector_t: jax.Array,
    transform: rlax.TxPair = rlax.IDENTITY_PAIR,
) -> jax.Array:
    """Returns the TD error of one transition, `[] float32`.

    h(r + discount * h^-1(q_target[argmax q_selector])) - q[a]; the selector is the
    target network in DQN (arXiv 1312.5602), the online one in Double DQN (arXiv
    1509.06461). h squashes the scale of values (arXiv 1805.11593).

    Args:
      q_tm1: `[A] float32`.
      a_tm1: `[] int32`.
      r_t: `[] float32`.
      discount_t: `[] float32`.
      q_target_t: `[A] float32`, values of the target network.
      q_selector_t: `[A] float32`, by which the next action is selected.
      transform: h and its inverse.
    """
    chex.assert_rank([q_tm1, a_tm1, r_t, discount_t], [1, 0, 0, 0])
    chex.assert_equal_shape([q_tm1, q_target_t, q_selector_t])
    chex.assert_type(
        [q_tm1, a_tm1, r_t, discount_t, q_target_t], [float, int, float, float, float]
    )
    value_t = transform.apply_inv(q_target_t[jnp.argmax(q_selector_t)])
    target = transform.apply(r_t + discount_t * value_t)
    return jax.lax.stop_gradient(target) - q_tm1[a_tm1]


def _make_q_learning(config: Config, spec: EnvironmentSpec, is_double: bool) -> Agent:
    network = make_value_network(config, spec)
    if config.loss.double is not None:
        is_double = config.loss.double
    transform = _TRANSFORMS[config.loss.value_transform]

    def q_values(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        carry: Any,
        mode: Any,
    ) -> tuple[jax.Array, Any]:
        q, carry, _ = network.apply(
            params, network_state, key, observation, carry, mode
        )
        return transform.apply_inv(q), carry

    def loss(
        params: Any,
        target_params: Any,
        network_state: Any,
        keys: chex.PRNGKey,
        batch: Transition,
        weights: jax.Array,
    ) -> tuple[jax.Array, LossOutput]:
        a_tm1, r_t, discount_t = batch[1:4]
        chex.assert_rank([a_tm1, r_t, discount_t, weights], 1)
        chex.assert_equal_shape([a_tm1, r_t, discount_t, weights])

        online_key, target_key, selector_key = jax.random.split(keys[0], 3)
        q_tm1, _, new_network_state = network.apply(
            params, network_state, online_key, batch.observation_tm1, (), "learn"
        )
        # The new state: BatchNorm's averages are zeros before their first batch.
        averages = jax.lax.stop_gradient(new_network_state)

        def look_ahead(params: Any, key: chex.PRNGKey) -> jax.Array:
            return network.apply(
                params, averages, key, batch.observation_t, (), "target"
            )[0]

        q_target_t = q_selector_t = look_ahead(target_params, target_key)
        if is_double:
            q_selector_t = look_ahead(jax.lax.stop_gradient(params), selector_key)
        td_error = jax.vmap(
            functools.partial(q_learning_td_error, transform=transform)
        )(q_tm1, a_tm1, r_t, discount_t, q_target_t, q_selector_t)

        value = jnp.mean(weights * td_loss(td_error, config.loss))
        priorities = jnp.abs(td_error)
        metrics = {
            "loss": value,
            "mean_abs_td": jnp.mean(priorities),
            "mean_q": jnp.mean(q_tm1),
            "max_q": jnp.max(q_tm1),
        }
        return value, LossOutput(priorities, metrics, new_network_state)

    return Agent(network.init, network.initial_carry, q_values, loss)
