"""Q-learning on expected returns: DQN, Double DQN and Munchausen DQN."""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent
from distrl.agents.td_errors import (
    IDENTITY,
    TRANSFORMS,
    Transform,
    refuse_fields,
    td_loss,
)
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec

_TdErrorFn = Callable[[Estimates, jax.Array, jax.Array, jax.Array], jax.Array]


def make_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns DQN (arXiv 1312.5602): the target network selects and evaluates."""
    return _make_q_learning(config, spec, is_double=False)


def make_double_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns Double DQN (arXiv 1509.06461): the online network selects."""
    return _make_q_learning(config, spec, is_double=True)


def make_munchausen_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns Munchausen DQN (arXiv 2007.14430), which acts epsilon-greedily on Q.

    With n-step returns only the first action's log-probability is added, as those of
    the others are not stored. `loss.double` is refused: the target is an expectation
    under the target network's softmax policy, so no action is selected.
    """
    refuse_fields(config, "value_transform")
    td_error_fn = functools.partial(
        munchausen_td_error,
        alpha=config.loss.munchausen_alpha,
        temperature=config.loss.munchausen_temperature,
        clip=config.loss.munchausen_clip,
    )
    item_loss_fn = functools.partial(_item_loss, config, td_error_fn)
    return make_transition_agent(config, spec, item_loss_fn)


def q_learning_td_error(
    estimates: Estimates,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    transform: Transform = IDENTITY,
) -> jax.Array:
    """Returns the TD error of one transition, `[] float32`.

    h(r + discount * h^-1(q_target[argmax q_selector])) - q[a]; the selector is the
    target network in DQN (arXiv 1312.5602), the online one in Double DQN (arXiv
    1509.06461). `transform` is h, which squashes values (arXiv 1805.11593), and h^-1.
    """
    q_tm1, q_target_t = estimates.values_tm1, estimates.target_values_t
    _check_types(q_tm1, a_tm1, r_t, discount_t)
    chex.assert_equal_shape([q_tm1, q_target_t, estimates.q_selector_t])
    value_t = transform.apply_inv(q_target_t[jnp.argmax(estimates.q_selector_t)])
    target = transform.apply(r_t + discount_t * value_t)
    return jax.lax.stop_gradient(target) - q_tm1[a_tm1]


def munchausen_td_error(
    estimates: Estimates,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
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
    """
    q_tm1, q_target_tm1, q_target_t = estimates[:3]
    _check_types(q_tm1, a_tm1, r_t, discount_t)
    chex.assert_equal_shape([q_tm1, q_target_tm1, q_target_t])
    # JAX subtracts the maximum before exponentiating.
    log_policy = temperature * jax.nn.log_softmax(q_target_tm1 / temperature)[a_tm1]
    value_t = temperature * jax.nn.logsumexp(q_target_t / temperature)
    target = r_t + alpha * jnp.clip(log_policy, clip, 0.0) + discount_t * value_t
    return jax.lax.stop_gradient(target) - q_tm1[a_tm1]


def _make_q_learning(config: Config, spec: EnvironmentSpec, is_double: bool) -> Agent:
    transform = TRANSFORMS[config.loss.value_transform]
    td_error_fn = functools.partial(q_learning_td_error, transform=transform)
    item_loss_fn = functools.partial(_item_loss, config, td_error_fn)
    return make_transition_agent(
        config, spec, item_loss_fn, expect=transform.apply_inv, is_double=is_double
    )


def _item_loss(
    config: Config,
    td_error_fn: _TdErrorFn,
    estimates: Estimates,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
) -> ItemLoss:
    td_error = td_error_fn(estimates, a_tm1, r_t, discount_t)
    return ItemLoss(td_loss(td_error, config.loss), td_error)


def _check_types(*transition: jax.Array) -> None:
    chex.assert_rank(transition, [1, 0, 0, 0])
    chex.assert_type(transition, [float, int, float, float])
