"""What agents that learn from transitions share: only their loss is their own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent, LossOutput
from distrl.agents.legal_actions import find_legal, restrict
from distrl.agents.td_errors import refuse_fields
from distrl.config.schema import Config
from distrl.networks.value_network import ValueNetwork, make_value_network
from distrl.types import EnvironmentSpec, Transition


class Estimates(NamedTuple):
    """What the networks say of one transition.

    Values are `[A]`, `[A, N]` where an action has N outputs, and `[N, A]` of an
    implicit network, N then being the quantiles that it was asked for. A gradient
    flows into `values_tm1` alone. What a loss does not use is not computed.

    Where actions are masked, `q_selector_t` and the target network's values `[A]` are
    `ILLEGAL` for those that are not legal, so that no maximum or softmax takes them.

    Attributes:
      values_tm1: of the network that learns, where the action was taken.
      target_values_tm1: of the target network, at the same place.
      target_values_t: of the target network, where the return bootstraps.
      q_selector_t: `[A] float32`, the expected values there by which the next
        action is selected: of the online network in double learning, else of the
        target network.
      tau_tm1: `[N] float32`, the quantiles of `values_tm1`; None if not implicit.
      legal_tm1: `[A] bool`, the actions that were legal where the action was taken;
        None where the environment has no mask.
      legal_t: `[A] bool`, those that are legal where the return bootstraps, or None.
    """

    values_tm1: Any
    target_values_tm1: Any
    target_values_t: Any
    q_selector_t: Any
    tau_tm1: Any
    legal_tm1: Any
    legal_t: Any


class ItemLoss(NamedTuple):
    """What a loss makes of one transition.

    Attributes:
      loss: `[] float32`; its mean over the batch, weighted, is lowered.
      td_error: `[] float32`, of expected values, for the metrics.
      priority: `[] float32`, not negative; None is the absolute TD error.
    """

    loss: Any
    td_error: Any
    priority: Any = None


Learn = Callable[[Estimates, jax.Array, jax.Array, jax.Array], ItemLoss]
"""`(estimates, a_tm1 [] int32, r_t [] float32, discount_t [] float32) -> ItemLoss`, a
pure function of one transition."""

Expect = Callable[[jax.Array], jax.Array]
"""From what the network gives to expected values `[B, A] float32`; it takes a batch."""


def make_transition_agent(
    config: Config,
    spec: EnvironmentSpec,
    learn: Learn,
    expect: Expect = lambda values: values,
    num_outputs: int | None = None,
    is_double: bool | None = None,
    is_implicit: bool = False,
) -> Agent:
    """Returns the agent of a loss.

    Args:
      config: its `network` and `loss` groups are read.
      spec: the environment's observations and number of actions.
      learn: the loss of one transition.
      expect: from the network's values to expected ones, for choosing actions.
      num_outputs: the values of an action, for example its atoms; None for one.
      is_double: whether the online network selects the next action when
        `loss.double` is null; None where nothing is selected by `q_selector_t`.
      is_implicit: whether the network is asked for quantiles; they are drawn for
        each transition by itself.

    Raises:
      ConfigError: the network cannot be made, or `loss.double` is set where it
        has no meaning.
    """
    if is_double is None:
        refuse_fields(config, "double")
    elif config.loss.double is not None:
        is_double = config.loss.double
    network = make_value_network(config, spec, num_outputs, is_implicit)

    def loss(
        params: Any,
        target_params: Any,
        network_state: Any,
        keys: chex.PRNGKey,
        batch: Transition,
        weights: jax.Array,
    ) -> tuple[jax.Array, LossOutput]:
        a_tm1, r_t, discount_t = batch[1:4]
        chex.assert_rank([a_tm1, r_t, discount_t, weights, keys], [1, 1, 1, 1, 2])
        chex.assert_equal_shape([a_tm1, r_t, discount_t, weights])
        chex.assert_equal_shape_prefix([a_tm1, keys], 1)
        chex.assert_type([a_tm1, r_t, discount_t, weights], [int, float, float, float])
        observations = (batch.observation_tm1, batch.observation_t)
        chex.assert_tree_shape_prefix(observations, weights.shape)

        legal_tm1, legal_t = map(find_legal, observations)
        # Only of one value an action is there a maximum to be taken.
        is_scalar = num_outputs is None and not is_implicit

        item_keys = jax.vmap(lambda key: jax.random.split(key, 4))(keys)
        online_key, target_key, selector_key = jax.random.split(item_keys[0, 0], 3)

        def draw_tau(place: int, count: int) -> jax.Array | None:
            return _draw_tau(item_keys[:, place], count) if is_implicit else None

        tau_tm1 = draw_tau(1, config.loss.tau_samples)
        values_tm1, _, new_network_state = network.apply(
            params,
            network_state,
            online_key,
            batch.observation_tm1,
            (),
            "learn",
            tau_tm1,
        )
        # The new state: BatchNorm's averages are zeros before their first batch.
        averages = jax.lax.stop_gradient(new_network_state)

        def look(
            params: Any, key: chex.PRNGKey, observation: Any, tau: jax.Array | None
        ) -> jax.Array:
            values, _, _ = network.apply(
                params, averages, key, observation, (), "target", tau
            )
            return jax.lax.stop_gradient(values)

        target_tau = draw_tau(2, config.loss.target_tau_samples)
        target_values_t = look(
            target_params, target_key, batch.observation_t, target_tau
        )
        if is_double or is_implicit:
            selector_values_t = look(
                params if is_double else target_params,
                selector_key,
                batch.observation_t,
                draw_tau(3, config.loss.policy_tau_samples),
            )
        else:
            selector_values_t = target_values_t
        target_values_tm1 = look(
            target_params, target_key, batch.observation_tm1, target_tau
        )
        q_selector_t = restrict(expect(selector_values_t), legal_t)
        if is_scalar:
            target_values_tm1 = restrict(target_values_tm1, legal_tm1)
            target_values_t = restrict(target_values_t, legal_t)
        estimates = Estimates(
            values_tm1=values_tm1,
            target_values_tm1=target_values_tm1,
            target_values_t=target_values_t,
            q_selector_t=q_selector_t,
            tau_tm1=tau_tm1,
            legal_tm1=legal_tm1,
            legal_t=legal_t,
        )
        items = jax.vmap(learn)(estimates, a_tm1, r_t, discount_t)
        chex.assert_equal_shape([items.loss, items.td_error, weights])

        value = jnp.mean(weights * items.loss)
        td_error = jax.lax.stop_gradient(jnp.abs(items.td_error))
        q_tm1 = expect(values_tm1)
        metrics = {
            "loss": value,
            "mean_abs_td": jnp.mean(td_error),
            "mean_q": jnp.mean(q_tm1, where=legal_tm1),
            "max_q": jnp.max(restrict(q_tm1, legal_tm1)),
        }
        priorities = td_error if items.priority is None else items.priority
        return value, LossOutput(priorities, metrics, new_network_state)

    tau_samples = config.loss.policy_tau_samples if is_implicit else None
    return Agent(
        init=network.init,
        initial_carry=network.initial_carry,
        q_values=make_q_values(network, expect, tau_samples),
        loss=loss,
    )


def make_q_values(
    network: ValueNetwork, expect: Expect, tau_samples: int | None = None
) -> Callable[..., tuple[jax.Array, Any]]:
    """Returns an agent's `q_values`.

    Args:
      network: the whole network.
      expect: from its values to expected ones.
      tau_samples: the quantiles to draw for each observation of an implicit
        network, in any mode; None if it is not implicit.
    """

    def q_values(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        carry: Any,
        mode: Any,
    ) -> tuple[jax.Array, Any]:
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
    """Returns quantiles `[B, count]`, drawn from keys `[B, 2]`."""
    return jax.vmap(lambda key: jax.random.uniform(key, (count,)))(keys)
