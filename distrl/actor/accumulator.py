"""Accumulators, from steps of E environments to the items that replay stores."""

from typing import Protocol

from distrl.actor.initial_priorities import PrioritizedAccumulator
from distrl.actor.n_step import NStepAccumulator
from distrl.actor.sequence import SequenceAccumulator
from distrl.config.schema import Config
from distrl.types import ActorStep, Items


class Accumulator(Protocol):
    """Collects steps until they complete items."""

    def add(self, step: ActorStep) -> Items:
        """Adds a step of every environment and returns the items it completes."""


def make_accumulator(config: Config) -> Accumulator:
    """Returns the accumulator of n-step transitions, or of sequences."""
    actor, replay = config.actor, config.replay
    if replay.sequence_length is not None:
        return SequenceAccumulator(
            actor.environments,
            replay.sequence_length,
            replay.sequence_stride,
            actor.discount,
        )
    if actor.initial_priorities:
        return PrioritizedAccumulator(config)
    return NStepAccumulator(actor.environments, actor.n_step, actor.discount)
