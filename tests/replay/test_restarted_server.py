"""Superbatches are read ahead, also after a restart of the replay server."""

import threading
import time

import numpy as np
import pytest
from mortal_servers import MortalServer, serve_replay
from real_services import wait_until
from replay.conftest import Replay

from distrl.replay import ShardedSampler


def make_config(**launch):
    return Replay.config(
        batch_size=8,
        steps_per_dispatch=3,
        transitions_per_item=2,
        shuffle_steps=0,
        launch=launch,
    )


@pytest.fixture
def server():
    """A replay server that can be killed, with its `config`."""
    config = make_config(connect_seconds=20.0)
    mortal = MortalServer(serve_replay, config, Replay.spec)
    mortal.config = config
    mortal.start()
    yield mortal
    mortal.kill()


def fill(server, reward):
    """Writes 64 transitions with this reward."""
    batch = Replay.batch(np.full(64, reward))
    Replay().write(server.config, server.address, batch)


def read(server, config=None):
    """Starts a reader; returns it and the list of what its thread has read."""
    taken = []

    def convert(superbatch):
        taken.append(superbatch)
        return superbatch

    config = config or server.config
    return ShardedSampler([server.address], config, Replay.spec, convert), taken


def get(reader):
    for _ in range(100):
        superbatch = reader.get(0.2)
        if superbatch is not None:
            return superbatch
    raise AssertionError("nothing was read")


def test_reader_thread_ends_on_close_with_full_queue(server):
    fill(server, 1.0)
    before = set(threading.enumerate())
    reader, taken = read(server)
    (thread,) = set(threading.enumerate()) - before
    get(reader)
    # One was taken, one is in the queue, and the thread holds one.
    wait_until(lambda: len(taken) == 3)
    reader.close(10)
    assert not thread.is_alive()
    assert len(taken) == 3


@pytest.mark.parametrize("is_empty", [True, False])
def test_reader_reconnects_promptly_to_restarted_server(server, is_empty):
    reader, _ = read(server)
    for number in range(3):
        if not is_empty:
            fill(server, number)
            # Superbatches read from the previous server come first.
            while get(reader).items.reward_t.max() < number:
                continue
        assert reader.get(0.01) is None or not is_empty
        server.kill()
        # Take all there is, so that the thread waits inside Reverb.
        while reader.get(0.3) is not None:
            continue
        server.start()
    fill(server, 9.0)
    began = time.monotonic()
    while get(reader).items.reward_t.max() < 9.0:
        continue
    assert time.monotonic() - began < 4
    began = time.monotonic()
    reader.close(5)
    assert time.monotonic() - began < 3


def test_empty_or_frozen_server_is_not_an_error(server):
    reader, _ = read(server)
    for _ in range(8):
        assert reader.get(0.2) is None
    server.freeze()
    for _ in range(8):
        assert reader.get(0.2) is None
    server.thaw()
    fill(server, 1.0)
    assert get(reader).items.reward_t.max() == 1.0
    reader.close(5)


def test_server_dead_for_connect_seconds_is_an_error(server):
    fill(server, 1.0)
    reader, _ = read(server, make_config(connect_seconds=0.5))
    get(reader)
    server.kill()
    with pytest.raises(RuntimeError, match=r"launch\.connect_seconds"):
        for _ in range(100):
            reader.get(0.1)
    reader.close(5)
