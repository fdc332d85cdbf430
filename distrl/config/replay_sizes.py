"""Replay sizes in Reverb items.

The configuration counts transitions or sequences of all shards together; Reverb counts
items of one shard, each a block of `ReplayConfig.block_size` transitions.
"""

import math
from dataclasses import dataclass

from distrl.config.schema import Config


@dataclass(frozen=True)
class ReplaySizes:
    """The sizes of one shard of replay, in items.

    Attributes:
      share: the items that this shard contributes to a superbatch.
      error_buffer: the samples by which actors or learner may run ahead.
      queue: the items that wait for a learner that keeps them itself.
      pool: the transitions that an actor collects before it writes blocks.
    """

    capacity: int
    min_size: int
    share: int
    error_buffer: float
    queue: int
    pool: int


def replay_sizes(config: Config) -> ReplaySizes:
    """Returns the sizes of each shard of replay."""
    replay, learner = config.replay, config.learner
    block = replay.block_size
    # Transitions of all shards per item of one shard.
    divisor = block * replay.shards
    share = learner.batch_size * learner.steps_per_dispatch // divisor
    if replay.error_buffer is not None:
        error_buffer = replay.error_buffer / divisor
    else:
        # One share may be in flight while `prefetch` more wait.
        ahead = share * (replay.prefetch + 2.0)
        # Twice the smallest buffer without deadlock.
        error_buffer = max(ahead, 2.0, 2 * (replay.samples_per_insert or 1.0))
    is_shuffled = replay.sampled_on == "server" and block > 1
    shuffled = replay.shuffle_steps * config.actor.environments if is_shuffled else 0
    pool = max(shuffled, block)
    if replay.sampled_on != "server" and replay.frame_stack is not None:
        pool = block * config.actor.environments
    return ReplaySizes(
        capacity=replay.capacity // divisor,
        min_size=math.ceil(replay.min_size / divisor),
        share=share,
        error_buffer=error_buffer,
        queue=math.ceil(error_buffer / (replay.samples_per_insert or 1.0)),
        pool=pool,
    )
