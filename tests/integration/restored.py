"""Reads the replay in the newest checkpoint of a run."""

import socket

import reverb

from distrl.replay import TABLE_NAME
from distrl.replay.server import start_server


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
