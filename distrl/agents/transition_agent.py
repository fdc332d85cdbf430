"""Agents that learn from transitions: everything but the loss of one transition."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent, LossOutput, QValuesFn
from distrl.agents.legal_actions import find_legal, restrict
from distrl.agents.td_errors import refuse_fields
from distrl.config.schema import Config
from distrl.networks.layers import Mode
from distrl.networks.value_network import ValueNetwork, make_value_network
from distrl.types import EnvironmentSpec, Nest, Transition


class Estimates(NamedTuple):
    """The networks' outputs for one transition.

    Values are `[A]`, `[A, N]` with N outputs per action, or `[N, A]` for N quantiles of
    an implicit network. Gradients flow into `values_tm1` only. Estimates that a loss
    does not use are not computed.

    With an action mask, `q_selector_t` and target values `[A]` are `ILLEGAL` for
    illegal actions, so that neither a maximum nor a softmax picks them.

    Attributes:
      values_tm1: the online network's, for the observation that was acted on.
      target_values_tm1: the target network's, for the same observation.
      target_values_t: the target network's, for the observation bootstrapped from.
      q_selector_t: `[A] float32`, expected values of that observation, which select the
        next action: in double learning the online network's, else the target's.
      tau_tm1: `[N] float32`, the quantiles of `values_tm1`; None if not implicit.
      legal_tm1: `[A] bool`, the legal actions of the first observation, or None.
      legal_t: `[A] bool`, those of the second observation, or None.
    """

    values_tm1: jax.Array
    target_values_tm1: jax.Array
    target_values_t: jax.Array
    q_selector_t: jax.Array
    tau_tm1: jax.Array | None = None
    legal_tm1: jax.Array | None = None
    legal_t: jax.Array | None = None


class ItemLoss(NamedTuple):
    """The loss of one transition.

    Attributes:
      loss: `[] float32`; its weighted mean over the batch is minimized.
      td_error: `[] float32`, the TD error of expected values, for the metrics.
      priority: `[] float32`, at least 0; None uses the absolute TD error.
    """

    loss: jax.Array
    td_error: jax.Array
    priority: jax.Array | None = None


ItemLossFn = Callable[[Estimates, jax.Array, jax.Array, jax.Array], ItemLoss]
"""`(estimates, a_tm1, r_t, discount_t) -> ItemLoss`, a pure function of one transition:
the action `[] int32`, the n-step reward `[] float32` and the bootstrap factor, gamma
included, `[] float32`."""

Expect = Callable[[jax.Array], jax.Array]
"""From a batch of the network's outputs to expected action values `[B, A] float32`."""


def make_transition_agent(
    config: Config,
    spec: EnvironmentSpec,
    item_loss_fn: ItemLossFn,
    expect: Expect = lambda values: values,
    num_outputs: int | None = None,
    is_double: bool | None = None,
    is_implicit: bool = False,
) -> Agent:
    """Returns the agent of a loss of single transitions.

    Raises ConfigError if the network cannot be made, or `loss.double` has no use.

    Args:
      num_outputs: the outputs per action, such as atoms; None for a single value.
      is_double: whether the online network selects the next action if `loss.double` is
        null; None if the loss does not use `q_selector_t`.
      is_implicit: whether to sample quantiles for each transition.
    """
    if is_double is None:
        refuse_fields(config, "double")
    elif config.loss.double is not None:
        is_double = config.loss.double
    network = make_value_network(config, spec, num_outputs, is_implicit)

    def loss(
        params: hk.Params,
        target_params: hk.Params,
        network_state: hk.State,
        keys: chex.PRNGKey,
        batch: Transition,
        weights: jax.Array,
    ) -> tuple[jax.Array, LossOutput]:
        observation_tm1, a_tm1, r_t, discount_t, observation_t = batch
        legal_tm1, legal_t = find_legal(observation_tm1), find_legal(observation_t)
        # The first item's first key is for the whole batch; the other three of
        # each item are for its quantiles.
        item_keys = jax.vmap(lambda key: jax.random.split(key, 4))(keys)
        online_key, target_key, selector_key = jax.random.split(item_keys[0, 0], 3)
        tau_tm1 = tau_t = selector_tau = None
        if is_implicit:
            tau_tm1 = _draw_tau(item_keys[:, 1], config.loss.tau_samples)
            tau_t = _draw_tau(item_keys[:, 2], config.loss.target_tau_samples)
            selector_tau = _draw_tau(item_keys[:, 3], config.loss.policy_tau_samples)
        values_tm1, _, new_network_state = network.apply(
            params, network_state, online_key, observation_tm1, (), "learn", tau_tm1
        )
        # Not the old state: BatchNorm's averages are zeros before their first batch.
        params, target_params, target_state = jax.lax.stop_gradient(
            (params, target_params, new_network_state)
        )
        target = functools.partial(
            network.apply, target_params, target_state, target_key
        )
        target_values_tm1, *_ = target(observation_tm1, (), "target", tau_t)
        target_values_t, *_ = target(observation_t, (), "target", tau_t)
        selector_values_t = target_values_t
        if is_double or is_implicit:
            selector_params = params if is_double else target_params
            selector_values_t, *_ = network.apply(
                selector_params,
                target_state,
                selector_key,
                observation_t,
                (),
                "target",
                selector_tau,
            )
        if num_outputs is None and not is_implicit:
            target_values_tm1 = restrict(target_values_tm1, legal_tm1)
            target_values_t = restrict(target_values_t, legal_t)
        estimates = Estimates(
            values_tm1,
            target_values_tm1,
            target_values_t,
            restrict(expect(selector_values_t), legal_t),
            tau_tm1,
            legal_tm1,
            legal_t,
        )
        items = jax.vmap(item_loss_fn)(estimates, a_tm1, r_t, discount_t)
        chex.assert_equal_shape([items.loss, items.td_error, weights])

        value = jnp.mean(weights * items.loss)
        abs_td = jax.lax.stop_gradient(jnp.abs(items.td_error))
        q_tm1 = expect(values_tm1)
        metrics = {
            "loss": value,
            "mean_abs_td": jnp.mean(abs_td),
            "mean_q": jnp.mean(q_tm1, where=legal_tm1),
            "max_q": jnp.max(restrict(q_tm1, legal_tm1)),
        }
        priorities = abs_td if items.priority is None else items.priority
        return value, LossOutput(priorities, metrics, new_network_state)

    tau_samples = config.loss.policy_tau_samples if is_implicit else None
    q_values = make_q_values(network, expect, tau_samples)
    return Agent(network.init, network.initial_carry, q_values, loss)


def make_q_values(
    network: ValueNetwork, expect: Expect, tau_samples: int | None = None
) -> QValuesFn:
    """Returns an agent's `q_values`; implicit networks sample quantiles per item."""

    def q_values(
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        observation: Nest,
        carry: Nest,
        mode: Mode,
    ) -> tuple[jax.Array, Nest]:
        tau = None
        if tau_samples is not None:
            key, tau_key = jax.random.split(key)
            batch_size = jax.tree.leaves(observation)[0].shape[0]
            tau = _draw_tau(jax.random.split(tau_key, batch_size), tau_samples)
        values, carry, _ = network.apply(
            params, network_state, key, observation, carry, mode, tau
        )
        return expect(values), carry

    return q_values


def _draw_tau(keys: chex.PRNGKey, count: int) -> jax.Array:
    """Returns uniform quantiles `[B, count]` from keys `[B, 2]`."""
    return jax.vmap(lambda key: jax.random.uniform(key, (count,)))(keys)
