"""Categorical distributions of returns on fixed atoms: C51, and Rainbow's loss."""

import functools

import chex
import jax
import jax.numpy as jnp
import optax

from distrl.agents.agent import Agent
from distrl.agents.td_errors import refuse_fields
from distrl.agents.transition_agent import Estimates, ItemLoss, make_transition_agent
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec


def make_c51(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns C51 (arXiv 1707.06887): the target network selects and evaluates."""
    return _make_categorical(config, spec, is_double=False)


def make_rainbow_loss(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns C51 as in Rainbow (arXiv 1710.02298): the online network selects.

    The other parts of Rainbow are config fields: a dueling, noisy head, n-step returns
    and prioritized replay.
    """
    return _make_categorical(config, spec, is_double=True)


def categorical_loss(
    estimates: Estimates,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    atoms: jax.Array,
) -> ItemLoss:
    """Returns the cross-entropy of one transition, with the KL divergence as priority.

    Network outputs are logits `[A, N]`; `atoms` `[N] float32` are their returns, which
    increase. The target is r + discount * Z_target(argmax q_selector), projected onto
    the atoms (arXiv 1707.06887, algorithm 1). Its cross-entropy minus its entropy is
    the KL divergence, Rainbow's priority (arXiv 1710.02298).
    """
    import rlax

    logits_tm1, _, logits_t, q_selector_t, *_ = estimates
    chex.assert_rank([logits_tm1, a_tm1, r_t, discount_t], [2, 0, 0, 0])
    probs_t = jax.nn.softmax(logits_t[jnp.argmax(q_selector_t)])
    target = rlax.categorical_l2_project(r_t + discount_t * atoms, probs_t, atoms)
    target = jax.lax.stop_gradient(target)
    cross_entropy = optax.softmax_cross_entropy(logits_tm1[a_tm1], target)
    entropy = jnp.sum(jax.scipy.special.entr(target))
    # Rounding can make it slightly negative.
    divergence = jnp.maximum(cross_entropy - entropy, 0.0)
    q_tm1, q_t = _expect(logits_tm1, atoms), _expect(logits_t, atoms)
    td_error = rlax.double_q_learning(q_tm1, a_tm1, r_t, discount_t, q_t, q_selector_t)
    priority = jax.lax.stop_gradient(divergence)
    return ItemLoss(cross_entropy, jnp.asarray(td_error), priority)


def _expect(logits: jax.Array, atoms: jax.Array) -> jax.Array:
    return jax.nn.softmax(logits) @ atoms


def _make_categorical(config: Config, spec: EnvironmentSpec, is_double: bool) -> Agent:
    refuse_fields(config, "max_abs_td_gradient", "value_transform")
    loss = config.loss
    atoms = jnp.linspace(loss.v_min, loss.v_max, loss.num_atoms)
    return make_transition_agent(
        config,
        spec,
        functools.partial(categorical_loss, atoms=atoms),
        functools.partial(_expect, atoms=atoms),
        num_outputs=loss.num_atoms,
        is_double=is_double,
    )
