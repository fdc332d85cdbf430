"""Q-learning on expected returns: DQN and Double DQN."""

from typing import Any

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import rlax

from distrl.agents.acting import make_epsilon_greedy
from distrl.agents.agent import Agent, LossOutput
from distrl.config.schema import Config
from distrl.networks.observations import zero_observation
from distrl.networks.registry import make_network
from distrl.types import EnvironmentSpec, Transition


def make_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns DQN (arXiv 1312.5602): the target network selects and evaluates."""
    return _make_q_learning(config, spec, double=False)


def make_double_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns Double DQN (arXiv 1509.06461): the online network selects."""
    return _make_q_learning(config, spec, double=True)


def td_loss(td_error: chex.Array, huber_delta: float | None) -> chex.Array:
    """Returns the loss of TD errors, `[...] float32`.

    Args:
      td_error: `[...] float32`.
      huber_delta: where the Huber loss turns linear; None is 0.5 td_error^2.
    """
    if huber_delta is None:
        return rlax.l2_loss(td_error)
    return rlax.huber_loss(td_error, huber_delta)


def _make_q_learning(config: Config, spec: EnvironmentSpec, double: bool) -> Agent:
    network = hk.transform_with_state(make_network(config.network, spec))
    huber_delta = config.learner.huber_delta

    def init(key: chex.PRNGKey) -> tuple[Any, Any]:
        return network.init(key, zero_observation(spec, 1), True)

    def q_values(
        params: Any, network_state: Any, key: chex.PRNGKey, observation: Any
    ) -> jax.Array:
        q, _ = network.apply(params, network_state, key, observation, False)
        return q

    def loss(
        params: Any,
        target_params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        transition: Transition,
        weights: jax.Array,
    ) -> tuple[jax.Array, LossOutput]:
        a_tm1, r_t, discount_t = transition[1:4]
        chex.assert_rank([a_tm1, r_t, discount_t, weights], 1)
        chex.assert_equal_shape([a_tm1, r_t, discount_t, weights])
        chex.assert_type([a_tm1, r_t, discount_t, weights], [int, float, float, float])

        keys = jax.random.split(key, 3)
        q_tm1, new_network_state = network.apply(
            params, network_state, keys[0], transition.observation_tm1, True
        )
        # The new state: BatchNorm's averages are zeros before their first batch.
        averages = jax.lax.stop_gradient(new_network_state)
        q_t = q_values(target_params, averages, keys[1], transition.observation_t)
        chex.assert_shape([q_tm1, q_t], (*weights.shape, spec.num_actions))
        td_error: Any
        if double:
            selector_params = jax.lax.stop_gradient(params)
            q_selector_t = q_values(
                selector_params, averages, keys[2], transition.observation_t
            )
            td_error = jax.vmap(rlax.double_q_learning)(
                q_tm1, a_tm1, r_t, discount_t, q_t, q_selector_t
            )
        else:
            td_error = jax.vmap(rlax.q_learning)(q_tm1, a_tm1, r_t, discount_t, q_t)

        value = jnp.mean(weights * td_loss(td_error, huber_delta))
        priorities = jnp.abs(td_error)
        metrics = {
            "loss": value,
            "mean_abs_td": jnp.mean(priorities),
            "mean_q": jnp.mean(q_tm1),
            "max_q": jnp.max(q_tm1),
        }
        return value, LossOutput(priorities, metrics, new_network_state)

    return Agent(init, make_epsilon_greedy(q_values), q_values, loss)
