"""Quantile regression on distributions of returns: QR-DQN and IQN."""

import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent
from distrl.agents.td_errors import refuse_fields
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec


def make_qr_dqn(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns QR-DQN (arXiv 1710.10044), with N quantiles at (2 i + 1) / 2 N.

    Priorities are the TD errors of expected values; the paper has none.
    """
    refuse_fields(config, "max_abs_td_gradient", "value_transform")
    count, delta = config.loss.num_quantiles, config.loss.huber_delta
    tau = (jnp.arange(count, dtype=jnp.float32) + 0.5) / count

    def item_loss_fn(
        estimates: Estimates, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array
    ) -> ItemLoss:
        # From `[A, N]` to `[N, A]`.
        estimates = estimates._replace(
            values_tm1=estimates.values_tm1.T,
            target_values_t=estimates.target_values_t.T,
            tau_tm1=tau,
        )
        return quantile_loss(estimates, a_tm1, r_t, discount_t, delta)

    return make_transition_agent(
        config,
        spec,
        item_loss_fn,
        expect=lambda quantiles: jnp.mean(quantiles, axis=-1),
        num_outputs=count,
        is_double=False,
    )


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
        item = quantile_loss(estimates, a_tm1, r_t, discount_t, delta)
        return item if delta is None else item._replace(loss=item.loss / delta)

    return make_transition_agent(
        config,
        spec,
        item_loss_fn,
        expect=lambda quantiles: jnp.mean(quantiles, axis=-2),
        is_double=False,
        is_implicit=True,
    )


def quantile_loss(
    estimates: Estimates,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    huber_delta: float | None,
) -> ItemLoss:
    """Returns the loss of one transition, and the TD error of the means.

    Estimates are N online quantiles `[N, A]` with probability levels `tau_tm1` `[N]`,
    and M target quantiles `[M, A]`. The loss is the mean over target and the sum over
    online quantiles of |tau - 1[u < 0]| L(u), where u is the target minus the online
    quantile (arXiv 1710.10044, algorithm 1). L is the Huber loss; without
    `huber_delta` it is |u|.
    """
    import rlax

    quantiles_tm1, _, quantiles_t, q_selector_t, tau_tm1, *_ = estimates
    assert tau_tm1 is not None
    loss = rlax.quantile_q_learning(
        quantiles_tm1,
        tau_tm1,
        a_tm1,
        r_t,
        discount_t,
        q_selector_t[None],  # RLax averages over quantiles; here there is one.
        quantiles_t,
        0.0 if huber_delta is None else huber_delta,
    )
    q_tm1, q_t = jnp.mean(quantiles_tm1, axis=0), jnp.mean(quantiles_t, axis=0)
    td_error = rlax.double_q_learning(q_tm1, a_tm1, r_t, discount_t, q_t, q_selector_t)
    return ItemLoss(jnp.asarray(loss), jnp.asarray(td_error))
