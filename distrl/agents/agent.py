"""The interface of an agent: pure functions that actors and the learner call."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from distrl.types import Nest

# Listing agents must not import JAX.
if TYPE_CHECKING:
    import chex
    import haiku as hk
    import jax

    from distrl.networks.layers import Mode


class LossOutput(NamedTuple):
    """The outputs of a loss besides its value.

    Attributes:
      priorities: `[B] float32`, new priorities of the items, at least 0.
      metrics: dict of `[] float32`, averaged over steps and devices; of those named
        `max_...` the maximum is taken instead.
      network_state: the new network state.
    """

    priorities: "jax.Array"
    metrics: "dict[str, jax.Array]"
    network_state: "hk.State"


class QValuesFn(Protocol):
    """Computes the action values by which actions are chosen."""

    def __call__(
        self,
        params: "hk.Params",
        network_state: "hk.State",
        key: "chex.PRNGKey",
        observation: Nest,
        carry: Nest,
        mode: "Mode",
        /,
    ) -> "tuple[jax.Array, Nest]":
        """Returns expected action values `[B, A] float32` and the next carry.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          key: a raw key.
          observation: nest of `[B, ...]`. Illegal actions have values, too; the policy
            ignores them.
          carry: nest of `[B, ...]`, the recurrent state.
          mode: `act`, in which noisy layers are noisy, or `evaluate`.
        """


class LossFn(Protocol):
    """Computes the loss of a batch of items."""

    def __call__(
        self,
        params: "hk.Params",
        target_params: "hk.Params",
        network_state: "hk.State",
        keys: "chex.PRNGKey",
        # Each agent declares one of the two item types.
        batch: Any,
        weights: "jax.Array",
        /,
    ) -> "tuple[jax.Array, LossOutput]":
        """Returns the loss `[] float32` and the other outputs.

        Gradients do not flow into targets. Discounts already include gamma.

        Args:
          params: the online network's parameters.
          target_params: the target network's parameters.
          network_state: the network's state.
          keys: `[B, 2] uint32`, a key per item, independent of the number of devices
            that share the batch.
          batch: `Transition` or `StepSequence` with a leading `[B]`.
          weights: `[B] float32`, importance weights.
        """


class Agent(NamedTuple):
    """Pure functions; all of them can be jitted.

    Attributes:
      init: `(key) -> (params, network_state)`.
      initial_carry: `(batch_size) -> carry`, the recurrent state at the start of an
        episode, a nest of `[B, ...]`; `()` for agents without memory.
      q_values: the action values by which actions are chosen.
      loss: the loss of a batch of items.
    """

    init: "Callable[[chex.PRNGKey], tuple[hk.Params, hk.State]]"
    initial_carry: Callable[[int], Nest]
    q_values: QValuesFn
    loss: LossFn
