"""The state of the serial backend: one pytree."""

from typing import NamedTuple

import chex

from distrl.learner.state import TrainState
from distrl.serial.buffer import BufferState


class Counts(NamedTuple):
    """The counts of a run, Python integers so that none overflows.

    `inserted` and `sampled` count items, `dispatches` superbatches learned from.
    """

    env_steps: int = 0
    episodes: int = 0
    inserted: int = 0
    sampled: int = 0
    dispatches: int = 0
    learner_steps: int = 0


class SerialState(NamedTuple):
    """All of the state except the environments and the steps that are not items yet.

    Attributes:
      train: the learner's state, with a leading `[D]`, one copy per device.
      buffer: replay, on the first device.
      key: `[2] uint32`, a raw key that never changes; dispatch n draws from it folded
        with the lower 32 bits of n.
    """

    train: TrainState
    buffer: BufferState
    key: chex.PRNGKey
    counts: Counts
