"""Replay on Reverb: the servers, and what actors and the learner reach them with.

    stop = threading.Event()
    serve_replay(config, spec, port, stop, report, shard=0)  # in a replay node
    BlockWriter(address, config, spec, seed, stop).write(transitions)  # in an actor
    make_sampler(addresses, config, spec).read()             # in the learner

This room alone imports Reverb and TensorFlow, and imports them at once.
"""

from distrl.replay.priorities import PriorityUpdater
from distrl.replay.reading import Sampler, SamplerThread
from distrl.replay.routing import PriorityRouter
from distrl.replay.sampler import ReplaySampler, SampledSuperbatch
from distrl.replay.server import serve_replay
from distrl.replay.sharded import ShardedSampler, make_sampler
from distrl.replay.tables import TABLE_NAME, make_table
from distrl.replay.writer import BlockWriter

__all__ = [
    "TABLE_NAME",
    "BlockWriter",
    "PriorityRouter",
    "PriorityUpdater",
    "ReplaySampler",
    "SampledSuperbatch",
    "Sampler",
    "SamplerThread",
    "ShardedSampler",
    "make_sampler",
    "make_table",
    "serve_replay",
]
