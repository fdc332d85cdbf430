"""From steps of E environments to the items that replay holds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distrl.actor.initial_priorities import PrioritizedAccumulator
from distrl.actor.n_step import NStepAccumulator
from distrl.actor.sequence import SequenceAccumulator
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


class Experience:
    """Turns steps into items, the rewards clipped if so configured."""

    def __init__(self, add: Callable[[ActorStep], Items], max_abs_reward: float | None):
        """Takes what adds a step to an accumulator, and the bound of rewards."""
        self._add = add
        self._max_abs_reward = max_abs_reward

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns what became complete."""
        reward_t = clip_rewards(step.reward_t, self._max_abs_reward)
        return self._add(step._replace(reward_t=reward_t))


def make_experience(config: Config) -> Experience:
    """Returns what the configuration keeps: n-step transitions or sequences."""
    actor, length = config.actor, config.replay.sequence_length
    # The first six fields of a step are what every accumulator takes first.
    if length is not None:
        sequences = SequenceAccumulator(
            actor.environments, length, config.replay.sequence_stride, actor.discount
        )
        return Experience(
            lambda step: Items(sequences.add(*step[:6], step.carry_tm1), None),
            actor.max_abs_reward,
        )
    if actor.initial_priorities:
        prioritized = PrioritizedAccumulator(config)
        return Experience(
            lambda step: Items(*prioritized.add(*step[:6], step.q_tm1)),
            actor.max_abs_reward,
        )
    transitions = NStepAccumulator(actor.environments, actor.n_step, actor.discount)
    return Experience(
        lambda step: Items(transitions.add(*step[:6]), None), actor.max_abs_reward
    )


def clip_rewards(reward_t: np.ndarray, bound: float | None) -> np.ndarray:
    """Returns rewards from -bound to bound; None leaves them as they are."""
    if bound is None:
        return reward_t
    return np.clip(reward_t, -bound, bound)
