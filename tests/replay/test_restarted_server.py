"""Superbatches are read ahead, also after a restart of the replay server."""

import threading
import time

import numpy as np
import pytest
from mortal_servers import MortalServer, serve_replay
from real_services import wait_until
from replay.conftest import Replay

from distrl.replay import ReplaySampler, ShardedSampler


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
    """A replay server that can be killed; `config` is its own."""
    config = make_config(connect_seconds=20.0)
    mortal = MortalServer(serve_replay, config, Replay.spec)
    mortal.config = config
    mortal.start()
    yield mortal
    mortal.kill()


def fill(server, reward):
    """Writes 64 transitions of one reward."""
    batch = Replay.batch(np.full(64, reward))
    Replay().write(server.config, server.address, batch)


def read(server, config=None):
    """Starts to read; returns the reader and what its thread has read so far."""
    sampler = ReplaySampler(server.address, config or server.config, Replay.spec)
    taken = []

    def convert(superbatch):
        taken.append(superbatch)
        return superbatch

    return ShardedSampler([sampler], 2, convert), taken


def get(reader):
    for _ in range(100):
        superbatch = reader.get(0.2)
        if superbatch is not None:
            return superbatch
    raise AssertionError("nothing was read")


def test_the_thread_ends_while_nobody_takes_what_it_holds(server):
    fill(server, 1.0)
    before = set(threading.enumerate())
    reader, taken = read(server)
    (thread,) = set(threading.enumerate()) - before
    get(reader)
    # One waits in the queue and one in the thread's hands, no more.
    wait_until(lambda: len(taken) == 3)
    reader.close(10)
    assert not thread.is_alive()
    assert len(taken) == 3


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_restarted_server_is_read_from_at_once(server, is_empty):
    reader, _ = read(server)
    for number in range(3):
        if not is_empty:
            fill(server, number)
            # What was read before the last server ended is used up first.
            while get(reader).items.reward_t.max() < number:
                continue
        assert reader.get(0.01) is None or not is_empty
        server.kill()
        # The learner takes all there is and then waits, inside Reverb.
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


def test_an_empty_table_a_limiter_and_a_frozen_server_are_no_faults(server):
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


def test_a_server_that_does_not_come_back_is_given_up(server):
    fill(server, 1.0)
    reader, _ = read(server, make_config(connect_seconds=0.5))
    get(reader)
    server.kill()
    with pytest.raises(RuntimeError, match=r"launch\.connect_seconds"):
        for _ in range(100):
            reader.get(0.1)
    reader.close(5)
