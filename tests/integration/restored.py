"""Reads the replay in the newest checkpoint of a run."""

import socket

import jax
import reverb

from distrl.agents import make_agent
from distrl.checkpoints.layout import find_newest_checkpoint
from distrl.learner.dispatch import Dispatch
from distrl.learner.replay_part import restore_replay as restore_devices
from distrl.replay import TABLE_NAME
from distrl.replay.server import start_server


def restore_learning(config, spec):
    """Returns the replay that the learner saved, and its counts, on one device."""
    devices = jax.local_devices()[:1]
    blank = Dispatch(config, spec, make_agent(config, spec), devices).init()
    checkpoint = find_newest_checkpoint(config.run_dir, print)
    return restore_devices(checkpoint, blank, devices)


def restore_replay(config, spec, shard=0):
    """Returns the items, inserts and samples of a server restored from a run."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    server = start_server(config, spec, port, shard)
    try:
        client: reverb.Client = server.localhost_client()
        info = client.server_info()[TABLE_NAME]
        limiter = info.rate_limiter_info
        completed = limiter.insert_stats.completed, limiter.sample_stats.completed
        return info.current_size, *completed
    finally:
        server.stop()
