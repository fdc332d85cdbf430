"""Categorical distributions of returns on fixed atoms: C51, and Rainbow's loss."""

import chex
import jax
import jax.numpy as jnp
import optax
import rlax

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
    and prioritised replay.
    """
    return _make_categorical(config, spec, is_double=True)


def categorical_q_loss(
    logits_tm1: jax.Array,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    logits_t: jax.Array,
    q_selector_t: jax.Array,
    atoms: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns the cross-entropy and the KL divergence of one transition, both `[]`.

    The target is r + discount * Z_target(argmax q_selector), projected onto the fixed
    atoms (arXiv 1707.06887, algorithm 1). The cross-entropy is minimised. The KL
    divergence, the cross-entropy minus the target's entropy, is Rainbow's priority
    (arXiv 1710.02298). The other arrays are those of `q_learning_td_error`.

    Args:
      logits_tm1: `[A, N] float32`, online logits of the previous observation.
      logits_t: `[A, N] float32`, target logits of the next observation.
      atoms: `[N] float32`, the returns of the atoms, increasing.
    """
    chex.assert_rank(
        [logits_tm1, a_tm1, r_t, discount_t, logits_t, q_selector_t, atoms],
        [2, 0, 0, 0, 2, 1, 1],
    )
    chex.assert_equal_shape([logits_tm1, logits_t])
    probs_t = jax.nn.softmax(logits_t[jnp.argmax(q_selector_t)])
    target = rlax.categorical_l2_project(r_t + discount_t * atoms, probs_t, atoms)
    target = jax.lax.stop_gradient(target)
    cross_entropy = optax.softmax_cross_entropy(logits_tm1[a_tm1], target)
    entropy = jnp.sum(jax.scipy.special.entr(target))
    # Rounding can make it slightly negative.
    return cross_entropy, jnp.maximum(cross_entropy - entropy, 0.0)


def _make_categorical(config: Config, spec: EnvironmentSpec, is_double: bool) -> Agent:
    refuse_fields(config, "max_abs_td_gradient", "value_transform")
    atoms = jnp.linspace(config.loss.v_min, config.loss.v_max, config.loss.num_atoms)

    def expect(logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits) @ atoms

    def item_loss_fn(
        estimates: Estimates, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array
    ) -> ItemLoss:
        logits_tm1, _, logits_t, q_selector_t, *_ = estimates
        loss, divergence = categorical_q_loss(
            logits_tm1, a_tm1, r_t, discount_t, logits_t, q_selector_t, atoms
        )
        td_error = rlax.double_q_learning(
            expect(logits_tm1), a_tm1, r_t, discount_t, expect(logits_t), q_selector_t
        )
        priority = jax.lax.stop_gradient(divergence)
        return ItemLoss(loss, jnp.asarray(td_error), priority)

    return make_transition_agent(
        config,
        spec,
        item_loss_fn,
        expect,
        num_outputs=config.loss.num_atoms,
        is_double=is_double,
    )
