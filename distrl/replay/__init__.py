"""Replay on Reverb: the servers, and access to them by actors and the learner.

    serve_replay(config, spec, shard, address, coordinator, stop)  # a replay node
    BlockWriter(address, config, spec, seed, stop).write(items)  # an actor
    ItemStream(addresses, config, spec, blocks, convert).get(timeout)  # the learner,
    ShardedSampler(addresses, config, spec, convert).get(timeout)  # by sampled_on

Only this package imports Reverb and TensorFlow, and it does so when it is imported.
"""

from distrl.replay.forms import TABLE_NAME
from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sampler import ReplaySampler, SampledSuperbatch
from distrl.replay.server import make_table, save_shard, serve_replay
from distrl.replay.sharded import ShardedSampler
from distrl.replay.stream import ItemStream
from distrl.replay.writer import BlockWriter

__all__ = [
    "TABLE_NAME",
    "BlockWriter",
    "ItemStream",
    "PriorityUpdater",
    "ReplaySampler",
    "SampledSuperbatch",
    "ShardedSampler",
    "make_table",
    "save_shard",
    "serve_replay",
]
