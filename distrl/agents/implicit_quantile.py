"""Implicit quantile networks (IQN): quantiles of returns at random levels."""

import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent
from distrl.agents.quantile import quantile_q_loss
from distrl.agents.td_errors import refuse_fields
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec


def make_iqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns IQN (arXiv 1806.06923).

    `loss.tau_samples` online quantiles learn from `loss.target_tau_samples` target
    ones; actions are selected by the mean of `loss.policy_tau_samples` others. The loss
    is that of QR-DQN divided by the Huber loss's delta, as in the paper's equation 3.
    Priorities are the TD errors of the means; the paper has none.
    """
    refuse_fields(config, "max_abs_td_gradient", "value_transform")
    delta = config.loss.huber_delta

    def item_loss_fn(
        estimates: Estimates, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array
    ) -> ItemLoss:
        assert estimates.tau_tm1 is not None
        item = quantile_q_loss(
            estimates.values_tm1,
            estimates.tau_tm1,
            a_tm1,
            r_t,
            discount_t,
            estimates.target_values_t,
            estimates.q_selector_t,
            delta,
        )
        return item if delta is None else item._replace(loss=item.loss / delta)

    return make_transition_agent(
        config,
        spec,
        item_loss_fn,
        expect=lambda quantiles: jnp.mean(quantiles, axis=-2),
        is_double=False,
        is_implicit=True,
    )
