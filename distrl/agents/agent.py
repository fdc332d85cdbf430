"""What an agent is: four pure functions that actors and the learner call."""

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
      act: `(params, network_state, key, observation [B, ...], epsilon [B] float32)
        -> action [B] int32`, epsilon-greedy, with an epsilon an environment.
      q_values: `(params, network_state, key, observation [B, ...])
        -> [B, A] float32`, as when acting.
      loss: `(params, target_params, network_state, key, transition, weights)
        -> ([] float32, LossOutput)`. `transition` is a `distrl.types.Transition`
        with a leading `[B]`, `weights` are `[B] float32`. No gradient flows into
        targets. `discount_t` is used as it comes: gamma is in it.
    """

    init: Callable[..., Any]
    act: Callable[..., Any]
    q_values: Callable[..., Any]
    loss: Callable[..., Any]
