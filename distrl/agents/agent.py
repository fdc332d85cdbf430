"""The interface of an agent: pure functions that actors and the learner call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from distrl.types import Nest

# Listing agents must not import JAX.
if TYPE_CHECKING:
    import chex
    import haiku as hk
    import jax

    from distrl.networks.layers import Mode

QValuesFn: TypeAlias = """Callable[
    [hk.Params, hk.State, chex.PRNGKey, Nest, Nest, Mode], tuple[jax.Array, Nest]
]"""


class LossOutput(NamedTuple):
    """The outputs of a loss besides its value.

    Attributes:
      priorities: `[B] float32`, new priorities of the items, at least 0.
      metrics: dict of `[] float32`, averaged over steps and devices; of those named
        `max_...` the maximum is taken instead.
      network_state: the new network state.
    """

    priorities: jax.Array
    metrics: dict[str, jax.Array]
    network_state: hk.State


class Agent(NamedTuple):
    """Pure functions; all of them can be jitted.

    Attributes:
      init: `(key) -> (params, network_state)`.
      initial_carry: `(batch_size) -> carry`, the recurrent state at the start of an
        episode, a nest of `[B, ...]`; `()` for agents without memory.
      q_values: `(params, network_state, key, observation, carry, mode) -> (q, carry)`:
        expected action values `[B, A] float32`, also of illegal actions, which the
        policy ignores, and the next carry.
      loss: `(params, target_params, network_state, keys, batch, weights) -> (loss,
        output)` of a `Transition` or `StepSequence` with a leading `[B]`, whose
        discounts include gamma. `keys` `[B, 2] uint32` are one per item, independent
        of the number of devices that share the batch; `weights` `[B] float32` are
        importance weights. Gradients do not flow into targets.
    """

    init: Callable[[chex.PRNGKey], tuple[hk.Params, hk.State]]
    initial_carry: Callable[[int], Nest]
    q_values: QValuesFn
    loss: Callable[
        [hk.Params, hk.Params, hk.State, chex.PRNGKey, Any, jax.Array],
        tuple[jax.Array, LossOutput],
    ]
