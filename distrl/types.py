"""The values that rooms hand to each other."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Transition(NamedTuple):
    """A transition, or a batch of them with a leading axis, already n-step.

    Attributes:
      observation_tm1: nest of arrays `[...]`, where the action was taken.
      action_tm1: `[] int32`.
      reward_t: `[] float32`, the discounted sum of n rewards.
      discount_t: `[] float32`, the whole bootstrap factor, gamma^n times the
        environment's discounts: 0 after termination, never after truncation.
      observation_t: nest of arrays `[...]`, where the return bootstraps.
    """

    observation_tm1: Any
    action_tm1: Any
    reward_t: Any
    discount_t: Any
    observation_t: Any


class Trajectory(NamedTuple):
    """T successive steps of one episode, or a batch of them with a leading axis.

    Step i goes from `observation[i]` to `observation[i + 1]`. An episode that ends
    before T steps are full is padded; what is behind its end is zeros.

    Attributes:
      observation: nest of arrays `[T + 1, ...]`.
      action: `[T] int32`.
      reward: `[T] float32`, of single steps.
      discount: `[T] float32`, gamma times the environment's discount: 0 after
        termination, never after truncation.
      mask: `[T] float32`, 1 for a step, 0 for padding.
      carry: nest of arrays `[...]`, the recurrent state before the first step.
    """

    observation: Any
    action: Any
    reward: Any
    discount: Any
    mask: Any
    carry: Any


@dataclass(frozen=True)
class EnvironmentSpec:
    """What networks, replay and policies need to know of an environment.

    Attributes:
      observation: nest of `dm_env.specs.Array`, one observation without batch axis.
      num_actions: the number of discrete actions, 0 to num_actions - 1.
    """

    observation: Any
    num_actions: int


class StopSignal(Protocol):
    """Tells a role that it is to end; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether the role is to end."""

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; True as soon as the role is to end."""
