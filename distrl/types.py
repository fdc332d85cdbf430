"""The data types that packages exchange."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Nest: TypeAlias = Any
"""Dicts, tuples and lists of arrays, nested, or a single array."""


class ActorStep(NamedTuple):
    """One step of E environments, with what the policy computed for it.

    Attributes:
      observation_tm1: nest of `[E, ...]`, the observations acted on; the first of an
        episode if the previous step ended one.
      action_tm1: `[E] int32`, the actions taken.
      reward_t: `[E] float32`, the rewards of the step.
      discount_t: `[E] float32`, the environments' own discounts: 0 at termination.
      last_t: `[E] bool`, whether the step ended an episode.
      observation_t: nest of `[E, ...]`, the observations after the step; the final one
        where an episode ended.
      q_tm1: `[E, A] float32`, the policy's action values; may be on the device.
      carry_tm1: nest of `[E, ...]`, the recurrent state before the step; may be on the
        device.
    """

    observation_tm1: Nest
    action_tm1: "np.ndarray"
    reward_t: "np.ndarray"
    discount_t: "np.ndarray"
    last_t: "np.ndarray"
    observation_t: Nest
    q_tm1: Any = None
    carry_tm1: Nest = ()


class Transition(NamedTuple):
    """A transition, or a batch of them with a leading axis, already n-step.

    Attributes:
      observation_tm1: nest of arrays `[...]`, where the action was taken.
      action_tm1: `[] int32`, the action.
      reward_t: `[] float32`, the discounted sum of n rewards.
      discount_t: `[] float32`, the whole bootstrap factor, gamma^n times the
        environment's discounts: 0 after termination, never after truncation.
      observation_t: nest of arrays `[...]`, where the return bootstraps.
    """

    observation_tm1: Nest
    action_tm1: Any
    reward_t: Any
    discount_t: Any
    observation_t: Nest


class StepSequence(NamedTuple):
    """T successive steps of one episode, or a batch of them with a leading axis.

    Step i goes from `observation[i]` to `observation[i + 1]`. If the episode ends
    before T steps, the rest is padded with zeros.

    Attributes:
      observation: nest of arrays `[T + 1, ...]`.
      action: `[T] int32`.
      reward: `[T] float32`, of single steps.
      discount: `[T] float32`, gamma times the environment's discount: 0 after
        termination, never after truncation.
      mask: `[T] float32`, 1 for a step, 0 for padding.
      carry: nest of arrays `[...]`, the recurrent state before the first step.
    """

    observation: Nest
    action: Any
    reward: Any
    discount: Any
    mask: Any
    carry: Nest


class Items(NamedTuple):
    """The items completed by a step.

    Attributes:
      data: a `Transition` or `StepSequence` with a leading `[M]`; M may be 0.
      priorities: `[M] float32`, or None if new items get the default priority.
      environments: `[M] int`, the environment of each, a number from 0.
    """

    data: Transition | StepSequence
    priorities: "np.ndarray | None"
    environments: "np.ndarray"


@dataclass(frozen=True)
class EnvironmentSpec:
    """What networks, replay and policies need to know about an environment.

    Attributes:
      observation: nest of `dm_env.specs.Array`, one observation without batch axis.
      num_actions: the number of discrete actions, 0 to num_actions - 1.
    """

    observation: Nest
    num_actions: int


@dataclass(frozen=True)
class Finding:
    """What a check found; `advice` says what to do, unless the state is `ok`."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


class StopSignal(Protocol):
    """Tells a node to stop, for example a `threading.Event`."""

    def is_set(self) -> bool:
        """Returns whether the node must stop."""

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; returns True once the node must stop."""
