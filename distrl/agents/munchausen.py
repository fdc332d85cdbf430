"""Munchausen DQN: adds the policy's log-probability to the reward."""

import chex
import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent
from distrl.agents.td_errors import refuse_fields, td_loss
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec


def make_munchausen_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns Munchausen DQN (arXiv 2007.14430).

    It acts epsilon-greedily on Q. With n-step returns only the first action's
    log-probability is added, as those of the others are not stored. Raises ConfigError
    if `loss.double` is set: the target is an expectation under the target network's
    softmax policy, so no action is selected.
    """
    refuse_fields(config, "value_transform")
    loss = config.loss
    settings = loss.munchausen_alpha, loss.munchausen_temperature, loss.munchausen_clip

    def item_loss_fn(
        estimates: Estimates, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array
    ) -> ItemLoss:
        q_tm1, q_target_tm1, q_target_t, *_ = estimates
        td_error = munchausen_td_error(
            q_tm1, a_tm1, r_t, discount_t, q_target_tm1, q_target_t, *settings
        )
        return ItemLoss(td_loss(td_error, loss), td_error)

    return make_transition_agent(config, spec, item_loss_fn)


def munchausen_td_error(
    q_tm1: jax.Array,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    q_target_tm1: jax.Array,
    q_target_t: jax.Array,
    alpha: float,
    temperature: float,
    clip: float,
) -> jax.Array:
    """Returns the TD error of one transition, `[] float32`.

    With pi = softmax(q_target / temperature) the target is, by equation 5 of arXiv
    2007.14430 clipped as in its section 3,
    r + alpha * [temperature log pi_tm1(a)] from clip to 0
      + discount * sum_b pi_t(b) (q_target_t(b) - temperature log pi_t(b));
    the last sum is temperature * logsumexp(q_target_t / temperature).

    The other arrays are those of `q_learning_td_error`.

    Args:
      q_target_tm1: `[A] float32`, target action values of the previous observation.
      alpha: the weight of the log-probability.
      temperature: of the softmax policy, above 0.
      clip: the lower bound of the scaled log-probability, at most 0.
    """
    chex.assert_rank([q_tm1, a_tm1, r_t, discount_t], [1, 0, 0, 0])
    chex.assert_equal_shape([q_tm1, q_target_tm1, q_target_t])
    chex.assert_type([q_tm1, a_tm1, r_t, discount_t], [float, int, float, float])
    # JAX subtracts the maximum before exponentiating.
    log_policy = temperature * jax.nn.log_softmax(q_target_tm1 / temperature)[a_tm1]
    value_t = temperature * jax.nn.logsumexp(q_target_t / temperature)
    target = r_t + alpha * jnp.clip(log_policy, clip, 0.0) + discount_t * value_t
    return jax.lax.stop_gradient(target) - q_tm1[a_tm1]
