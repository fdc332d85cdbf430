"""Q-learning on expected returns: DQN and Double DQN."""

import chex
import jax
import jax.numpy as jnp
import rlax

from distrl.agents.agent import Agent
from distrl.agents.td_errors import TRANSFORMS, td_loss
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec


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
    1509.06461). h squashes the values (arXiv 1805.11593).

    Args:
      q_tm1: `[A] float32`, online action values of the previous observation.
      a_tm1: `[] int32`, the action taken there.
      r_t: `[] float32`, the n-step reward.
      discount_t: `[] float32`, the bootstrap factor, gamma included.
      q_target_t: `[A] float32`, target action values of the next observation.
      q_selector_t: `[A] float32`, values that select the next action.
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
    transform = TRANSFORMS[config.loss.value_transform]

    def item_loss_fn(
        estimates: Estimates, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array
    ) -> ItemLoss:
        q_tm1, _, q_target_t, q_selector_t, *_ = estimates
        td_error = q_learning_td_error(
            q_tm1, a_tm1, r_t, discount_t, q_target_t, q_selector_t, transform
        )
        return ItemLoss(td_loss(td_error, config.loss), td_error)

    return make_transition_agent(
        config, spec, item_loss_fn, expect=transform.apply_inv, is_double=is_double
    )
