"""What follows from a configuration: the sizes of replay in Reverb items, and more.

Reverb counts items; the configuration counts transitions. An item holds
`transitions_per_item` of them, and samples per insert is the same ratio in both. The
configuration is of the whole, and each of its `shards` has an equal part of it.
"""

import math
from dataclasses import dataclass

from distrl.config.schema import Config, NetworkConfig

# Large enough that Reverb's cost per item no longer counts.
_TRANSITIONS_PER_ITEM = 32
# Longer than a restart of the variable service takes, which is no reason to worry.
_STALE_SECONDS = 10.0


@dataclass(frozen=True)
class ReplayLimits:
    """A shard of replay in items; one that is the only one is the whole.

    Attributes:
      capacity: the items kept.
      min_size: the items that must be there before the first sample.
      share: the items that the learner takes at once, a superbatch's share.
      samples_per_insert: the samples of an item on average; None for no limit.
      error_buffer: the samples by which either side may run ahead.
    """

    capacity: int
    min_size: int
    share: int
    samples_per_insert: float | None
    error_buffer: float


def smallest_error_buffer(samples_per_insert: float) -> float:
    """Returns the smallest error buffer, in items, with which nobody waits for ever."""
    return max(1.0, samples_per_insert)


def name_shard(shard: int) -> str:
    """Returns the name of a shard's node and of its part of a checkpoint."""
    return f"replay/{shard}"


def list_shards(config: Config) -> tuple[str, ...]:
    """Returns the names of all shards of replay, in their order."""
    return tuple(map(name_shard, range(config.replay.shards)))


def count_per_item(config: Config) -> int:
    """Returns G, the transitions of a Reverb item: 1 for sequences, which are whole."""
    replay = config.replay
    if replay.transitions_per_item is not None:
        return replay.transitions_per_item
    whole = replay.kind == "prioritized" or replay.sequence_length is not None
    return 1 if whole else _TRANSITIONS_PER_ITEM


def sequence_period(config: Config) -> int:
    """Returns the steps between the starts of two sequences."""
    replay = config.replay
    if replay.sequence_period is not None:
        return replay.sequence_period
    return max(1, (replay.sequence_length or 1) // 2)


def list_carry_sizes(network: NetworkConfig) -> tuple[int, ...]:
    """Returns the units of each vector of an environment's recurrent state."""
    size = network.core_size
    return {"none": (), "gru": (size,), "lstm": (size, size)}[network.core]


def count_pooled(config: Config) -> int:
    """Returns the transitions that an actor shuffles at once; G = 1 waits for none."""
    replay, block = config.replay, count_per_item(config)
    if block == 1:
        return 0
    return max(replay.shuffle_steps * config.actor.environments, block)


def count_kept_frames(config: Config) -> int:
    """Returns the newest frames that an actor's items may refer to.

    A frame is shown by the items that begin up to `frame_stack` steps after it, which
    are written when they are `n_step` or `sequence_length` steps long, and shuffled.
    With as many as this, one that an environment brings in each step is sent once; an
    item whose observations are no stacks has room beside them.
    """
    replay, stack = config.replay, config.replay.frame_stack
    assert stack is not None
    steps = config.actor.n_step
    observations = 2
    if replay.sequence_length is not None:
        steps = replay.sequence_length
        observations = steps + 1
    shared = 2 * count_pooled(config) + config.actor.environments * (stack + steps)
    return shared + count_per_item(config) * observations * stack


def find_patience(config: Config) -> float:
    """Returns the seconds for which a node goes on without a server that is silent.

    One that hangs has to be found out first, and started again then.
    """
    return config.launch.silent_seconds + config.launch.connect_seconds


def usual_staleness(config: Config) -> float:
    """Returns the seconds that an actor may be behind the variable service.

    That is a period of fetching for each of those who fetch, one after the other; what
    the fetches themselves take comes on top.
    """
    levels = 2 if config.variables.relays else 1
    return levels * config.actor.fetch_seconds


def find_stale_seconds(config: Config) -> float:
    """Returns the seconds behind the variable service that are too many."""
    if config.variables.stale_seconds is not None:
        return config.variables.stale_seconds
    return usual_staleness(config) + _STALE_SECONDS


def derive_limits(config: Config) -> ReplayLimits:
    """Returns the limits of each shard of replay, in items."""
    replay, learner = config.replay, config.learner
    # A whole's transitions in an item of one of its shards.
    divisor = count_per_item(config) * replay.shards
    share = learner.batch_size * learner.steps_per_dispatch // divisor
    spi = replay.samples_per_insert
    if replay.error_buffer is not None:
        error_buffer = replay.error_buffer / divisor
    else:
        # A whole share may be on its way, and `prefetch` more may wait.
        ahead = share * (replay.prefetch + 2.0)
        error_buffer = max(ahead, 2 * smallest_error_buffer(spi or 1.0))
    return ReplayLimits(
        capacity=replay.capacity // divisor,
        min_size=math.ceil(replay.min_size / divisor),
        share=share,
        samples_per_insert=spi,
        error_buffer=error_buffer,
    )
