"""What an agent is: pure functions that actors and the learner call."""

from collections.abc import Callable
from typing import Any, NamedTuple


class LossOutput(NamedTuple):
    """What a loss gives beside its value.

    Attributes:
      priorities: `[B] float32`, not negative, for prioritised replay.
      metrics: dict of `[] float32`. Over steps and devices they are averaged; of
        those whose name begins with `max_` the largest is taken.
      network_state: the new state of the network.
    """

    priorities: Any
    metrics: dict[str, Any]
    network_state: Any


class Agent(NamedTuple):
    """Pure functions; any of them can be jitted.

    Attributes:
      init: `(key) -> (params, network_state)`.
      initial_carry: `(batch_size) -> carry`, the recurrent state at the start of an
        episode, a nest of `[B, ...]`; `()` for agents without memory.
      q_values: `(params, network_state, key, observation [B, ...], carry, mode)
        -> (q [B, A] float32, carry)`, the expected values that actions are chosen
        by, those of illegal actions too: the player leaves them out. `mode` is `act`,
        where noisy layers are noisy, or `evaluate`.
      loss: `(params, target_params, network_state, keys, batch, weights)
        -> ([] float32, LossOutput)`. `batch` is a `distrl.types.Transition` or
        `Trajectory` with a leading `[B]`, `weights` are `[B] float32`. `keys` are
        `[B, 2] uint32`, one an element, the same however many devices share the
        batch. No gradient flows into targets. Discounts are used as they come:
        gamma is in them.
    """

    init: Callable[..., Any]
    initial_carry: Callable[[int], Any]
    q_values: Callable[..., Any]
    loss: Callable[..., Any]
