"""Replay sizes in Reverb items.

The configuration counts transitions (or sequences) of the whole replay. Reverb counts
its items, blocks of `ReplayConfig.block_size` transitions, of which each shard has an
equal part.
"""

import math
from dataclasses import dataclass

from distrl.config.schema import Config


@dataclass(frozen=True)
class ReplaySizes:
    """The sizes of one shard of replay, in items.

    Attributes:
      capacity: the items kept.
      min_size: the items needed before the first sample.
      share: the items of a superbatch that this shard gives.
      samples_per_insert: how often an item is sampled on average; None: no limit.
      error_buffer: the samples by which actors or learner may run ahead.
      pool: the transitions that an actor shuffles at once; 0 does not shuffle.
    """

    capacity: int
    min_size: int
    share: int
    samples_per_insert: float | None
    error_buffer: float
    pool: int


def smallest_error_buffer(samples_per_insert: float) -> float:
    """Returns the smallest error buffer without deadlock, in items."""
    return max(1.0, samples_per_insert)


def replay_sizes(config: Config) -> ReplaySizes:
    """Returns the sizes of each shard of replay."""
    replay, learner = config.replay, config.learner
    block = replay.block_size
    # Transitions of the whole replay per item of one shard.
    divisor = block * replay.shards
    share = learner.batch_size * learner.steps_per_dispatch // divisor
    if replay.error_buffer is not None:
        error_buffer = replay.error_buffer / divisor
    else:
        # One share may be in flight, and `prefetch` more may wait.
        ahead = share * (replay.prefetch + 2.0)
        smallest = smallest_error_buffer(replay.samples_per_insert or 1.0)
        error_buffer = max(ahead, 2 * smallest)
    shuffled = replay.shuffle_steps * config.actor.environments
    return ReplaySizes(
        capacity=replay.capacity // divisor,
        min_size=math.ceil(replay.min_size / divisor),
        share=share,
        samples_per_insert=replay.samples_per_insert,
        error_buffer=error_buffer,
        pool=0 if block == 1 else max(shuffled, block),
    )
