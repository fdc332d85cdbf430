"""Replay on Reverb: the server, and what actors and the learner reach it with.

    stop = threading.Event()
    serve_replay(config, spec, port, stop, report)        # in the replay node
    BlockWriter(address, config, spec, seed, stop).write(transitions)  # in an actor
    ReplaySampler(address, config, spec).read()           # in the learner

This room alone imports Reverb and TensorFlow, and imports them at once.
"""

from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sampler import ReplaySampler, SampledSuperbatch
from distrl.replay.server import serve_replay
from distrl.replay.tables import TABLE_NAME, make_table
from distrl.replay.writer import BlockWriter

__all__ = [
    "TABLE_NAME",
    "BlockWriter",
    "PriorityUpdater",
    "ReplaySampler",
    "SampledSuperbatch",
    "make_table",
    "serve_replay",
]
