"""From steps of E environments to the items that replay holds."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from distrl.actor.initial_priorities import PrioritizedAccumulator
from distrl.actor.n_step import NStepAccumulator
from distrl.actor.sequence import SequenceAccumulator
from distrl.config.limits import sequence_period
from distrl.config.schema import Config


class ActorStep(NamedTuple):
    """One step of E environments, with what the player knew when it chose.

    Attributes:
      observation_tm1: nest of `[E, ...]`, where the actions were chosen.
      action_tm1: `[E] int32`.
      reward_t: `[E] float32`.
      discount_t: `[E] float32`, the environment's own: 0 at a termination.
      last_t: `[E] bool`, whether the step ended an episode.
      observation_t: nest of `[E, ...]`; the final one where an episode ended.
      q_tm1: `[E, A] float32`, the values that the actions were chosen by.
      carry_tm1: nest of `[E, ...]`, the recurrent state before the step.
    """

    observation_tm1: Any
    action_tm1: np.ndarray
    reward_t: np.ndarray
    discount_t: np.ndarray
    last_t: np.ndarray
    observation_t: Any
    q_tm1: Any
    carry_tm1: Any


class Items(NamedTuple):
    """What became complete with a step.

    Attributes:
      data: a `Transition` or `Trajectory` with a leading `[M]`; M may be 0.
      priorities: `[M] float32`, or None where new items have the usual one.
    """

    data: Any
    priorities: np.ndarray | None


class Experience(Protocol):
    """Turns steps into items."""

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns what became complete."""


def make_experience(config: Config) -> Experience:
    """Returns what the configuration keeps: n-step transitions or sequences."""
    if config.replay.sequence_length is not None:
        return _Sequences(config)
    if config.actor.initial_priorities:
        return _PrioritizedTransitions(config)
    return _Transitions(config)


class _Transitions:
    """N-step transitions, the rewards clipped if so configured."""

    def __init__(self, config: Config):
        self._max_abs_reward = config.actor.max_abs_reward
        self._accumulator = NStepAccumulator(
            config.actor.environments, config.actor.n_step, config.actor.discount
        )

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns what became complete."""
        data = self._accumulator.add(
            step.observation_tm1,
            step.action_tm1,
            clip_rewards(step.reward_t, self._max_abs_reward),
            step.discount_t,
            step.last_t,
            step.observation_t,
        )
        return Items(data, None)


class _PrioritizedTransitions:
    """N-step transitions with the TD errors of the values acted on (Ape-X)."""

    def __init__(self, config: Config):
        self._max_abs_reward = config.actor.max_abs_reward
        self._accumulator = PrioritizedAccumulator(config)

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns what became complete."""
        data, priorities = self._accumulator.add(
            step.observation_tm1,
            step.action_tm1,
            clip_rewards(step.reward_t, self._max_abs_reward),
            step.discount_t,
            step.last_t,
            step.observation_t,
            step.q_tm1,
        )
        return Items(data, priorities)


class _Sequences:
    """Overlapping sequences with the recurrent state at their start (R2D2)."""

    def __init__(self, config: Config):
        assert config.replay.sequence_length is not None
        self._max_abs_reward = config.actor.max_abs_reward
        self._accumulator = SequenceAccumulator(
            config.actor.environments,
            config.replay.sequence_length,
            sequence_period(config),
            config.actor.discount,
        )

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns what became complete."""
        data = self._accumulator.add(
            step.observation_tm1,
            step.action_tm1,
            clip_rewards(step.reward_t, self._max_abs_reward),
            step.discount_t,
            step.last_t,
            step.observation_t,
            step.carry_tm1,
        )
        return Items(data, None)


def clip_rewards(reward_t: np.ndarray, bound: float | None) -> np.ndarray:
    """Returns rewards from -bound to bound; None leaves them as they are."""
    if bound is None:
        return reward_t
    return np.clip(reward_t, -bound, bound)
