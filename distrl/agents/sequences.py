"""Q-learning on sequences: R2D2, with n-step returns or Watkins' Q(lambda)."""

import functools

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent, LossOutput
from distrl.agents.legal_actions import find_legal, restrict
from distrl.agents.td_errors import IDENTITY, TRANSFORMS, Transform, td_loss
from distrl.agents.transition_agent import make_q_values
from distrl.config.fields import refuse
from distrl.config.schema import Config
from distrl.networks.layers import Mode
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec, StepSequence


def make_r2d2(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns R2D2 (Recurrent Experience Replay in Distributed RL, ICLR 2019).

    Both networks start from the stored recurrent state and unroll the first
    `loss.burn_in` steps without learning; they learn from the steps after those.
    Learning is double (unless `loss.double` is false), on the scale of
    `loss.value_transform`, from returns of `actor.n_step` steps inside the sequence, or
    from Watkins' Q(lambda) if `loss.q_lambda` is set.

    The loss of a sequence is the sum over its learned steps divided by the number in a
    full sequence, so that all steps have the same weight. Its priority is
    `loss.priority_mix` times the largest absolute TD error, plus the rest times the
    mean. Raises ConfigError if sequences are not configured.
    """
    if config.replay.sequence_length is None:
        problem = f"agent {config.agent!r} needs sequences; set it, for example to 20"
        raise refuse("replay.sequence_length", None, problem)
    network = make_value_network(config, spec)
    transform = TRANSFORMS[config.loss.value_transform]
    burn_in, mix = config.loss.burn_in, config.loss.priority_mix
    td_error_fn = functools.partial(
        sequence_td_error,
        n_step=config.actor.n_step,
        q_lambda=config.loss.q_lambda,
        transform=transform,
    )

    def unroll(
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        batch: StepSequence,
        mode: Mode,
    ) -> tuple[jax.Array, hk.State]:
        """Returns values `[B, T + 1 - burn_in, A]` and the new network state."""
        first_key, key = jax.random.split(key)
        apply = functools.partial(network.unroll, params, network_state)
        carry = batch.carry
        if burn_in > 0 and jax.tree.leaves(carry):
            first = jax.tree.map(lambda x: x[:, :burn_in], batch.observation)
            _, carry, _ = apply(first_key, first, carry, mode)
        carry = jax.lax.stop_gradient(carry)
        rest = jax.tree.map(lambda x: x[:, burn_in:], batch.observation)
        values, _, network_state = apply(key, rest, carry, mode)
        return values, network_state

    def loss(
        params: hk.Params,
        target_params: hk.Params,
        network_state: hk.State,
        keys: chex.PRNGKey,
        batch: StepSequence,
        weights: jax.Array,
    ) -> tuple[jax.Array, LossOutput]:
        online_key, target_key = jax.random.split(keys[0])
        q, new_network_state = unroll(params, network_state, online_key, batch, "learn")
        # Not the old state: BatchNorm's averages are zeros before their first batch.
        target_state = jax.lax.stop_gradient(new_network_state)
        q_target, _ = unroll(target_params, target_state, target_key, batch, "target")
        q_selector = q_target if config.loss.double is False else q

        learned = jax.tree.map(lambda x: x[:, burn_in:], batch._replace(carry=()))
        legal = find_legal(learned.observation)
        legal_tm1 = None if legal is None else legal[:, :-1]
        legal_t = None if legal is None else legal[:, 1:]
        q_tm1, mask = q[:, :-1], learned.mask
        td_error = jax.vmap(td_error_fn)(
            q_tm1,
            learned.action,
            learned.reward,
            learned.discount,
            mask,
            restrict(q_target[:, 1:], legal_t),
            restrict(q_selector[:, 1:], legal_t),
        )
        value = jnp.mean(weights * jnp.mean(td_loss(td_error, config.loss), axis=1))
        abs_td = jax.lax.stop_gradient(jnp.abs(td_error))
        mean_abs_td = _average(abs_td, mask)
        priorities = mix * jnp.max(abs_td, axis=1) + (1.0 - mix) * mean_abs_td
        q_tm1 = transform.apply_inv(q_tm1)
        lowest = jnp.min(q_tm1)  # Finite even if the mask is all zeros.
        mean_q = _average(jnp.mean(q_tm1, axis=2, where=legal_tm1), mask)
        q_tm1 = restrict(jnp.where(mask[..., None] > 0, q_tm1, lowest), legal_tm1)
        metrics = {
            "loss": value,
            "mean_abs_td": jnp.mean(mean_abs_td),
            "mean_q": jnp.mean(mean_q),
            "max_q": jnp.max(q_tm1),
        }
        return value, LossOutput(priorities, metrics, new_network_state)

    q_values = make_q_values(network, transform.apply_inv)
    return Agent(network.init, network.initial_carry, q_values, loss)


def sequence_td_error(
    q_tm1: jax.Array,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    mask: jax.Array,
    q_target_t: jax.Array,
    q_selector_t: jax.Array,
    n_step: int,
    q_lambda: float | None = None,
    transform: Transform = IDENTITY,
) -> jax.Array:
    """Returns the TD errors of one sequence, `[T] float32`; 0 for padding.

    h(G) - q[a], where G sums n rewards, or fewer at the end of the sequence or its
    episode, and bootstraps from h^-1(q_target[argmax q_selector]). With `q_lambda`, G
    is the return of Watkins' Q(lambda): lambda is 0 where the next action taken is not
    the selector's best. `transform` is h, which squashes values (arXiv 1805.11593),
    and h^-1.

    Args:
      q_tm1: `[T, A] float32`, online action values of the observations acted on.
      a_tm1: `[T] int32`, the actions taken.
      r_t: `[T] float32`, the rewards of single steps.
      discount_t: `[T] float32`, the discounts of single steps, gamma included.
      mask: `[T] float32`, 1 for steps, 0 for the padding after them.
      q_target_t: `[T, A] float32`, target action values of the next observations.
      q_selector_t: `[T, A] float32`, values that select the next actions.
    """
    import rlax

    chex.assert_rank([q_tm1, a_tm1], [2, 1])
    chex.assert_equal_shape([q_tm1, q_target_t, q_selector_t])
    chex.assert_equal_shape([a_tm1, r_t, discount_t, mask])
    chex.assert_type([q_tm1, a_tm1, r_t, discount_t], [float, int, float, float])
    is_step = mask > 0
    v_t = rlax.batched_index(q_target_t, jnp.argmax(q_selector_t, axis=1))
    v_t = transform.apply_inv(jnp.asarray(v_t))
    # The last step bootstraps from v_t[last]. Padding passes that value on to returns
    # that reach into it: no reward, a discount of 1, and the same value at each step.
    last = jnp.maximum(jnp.sum(is_step) - 1, 0)
    v_t = jnp.where(is_step, v_t, v_t[last])
    r_t = jnp.where(is_step, r_t, 0.0)
    discount_t = jnp.where(is_step, discount_t, 1.0)
    if q_lambda is None:
        returns = rlax.n_step_bootstrapped_returns(r_t, discount_t, v_t, n_step)
    else:
        # Padding has the value of the last step, so lambda has no effect there.
        a_t = jnp.roll(a_tm1, -1)
        is_best = rlax.batched_index(q_selector_t, a_t) >= jnp.max(q_selector_t, 1)
        returns = rlax.lambda_returns(r_t, discount_t, v_t, q_lambda * is_best)
    target = jax.lax.stop_gradient(transform.apply(jnp.asarray(returns)))
    return jnp.where(is_step, target - rlax.batched_index(q_tm1, a_tm1), 0.0)


def _average(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the mean over steps, `[B]` from `[B, T]`; 0 without steps."""
    return jnp.sum(x * mask, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1.0)
