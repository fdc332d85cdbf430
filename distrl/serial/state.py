"""The state of the serial back end: one pytree."""

from typing import NamedTuple

import chex

from distrl.learner.state import TrainState
from distrl.serial.buffer import BufferState


class Counts(NamedTuple):
    """How far a run is; Python integers, so that none wraps.

    Attributes:
      env_steps: calls of `environment.step` over all environments.
      episodes: those that ended.
      inserted: items that replay was given.
      sampled: items that were drawn.
      dispatches: superbatches learned from.
      learner_steps: SGD steps.
    """

    env_steps: int = 0
    episodes: int = 0
    inserted: int = 0
    sampled: int = 0
    dispatches: int = 0
    learner_steps: int = 0


class SerialState(NamedTuple):
    """What is learned, replayed, drawn and counted.

    The environments, and the steps that are not items yet, are objects of the host and
    not in it.

    Attributes:
      train: the learner's state, with a leading `[D]`, one copy a device.
      buffer: replay, on the first device.
      key: `[2] uint32`, a raw key that never changes; dispatch n draws from it folded
        with the lower 32 bits of n.
      counts: how far the run is.
    """

    train: TrainState
    buffer: BufferState
    key: chex.PRNGKey
    counts: Counts
