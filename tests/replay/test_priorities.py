import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest
import reverb
import scipy.stats
from mortal_servers import MortalServer, serve_replay

from distrl.config.replay_sizes import replay_sizes
from distrl.replay.forms import TABLE_NAME
from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sampler import ReplaySampler
from distrl.replay.writer import BlockWriter


def _fill(replay, size, epsilon=0.0):
    config = replay.config(kind="prioritized", priority_epsilon=epsilon)
    address, _ = replay.serve(config)
    replay.fill(config, address, range(size))
    return config, address


def put(updater, keys, priorities):
    """Sends priorities of items in the first shard."""
    updater.put(keys, np.zeros(len(keys), int), priorities)


def _read_keys(replay, config, address, size):
    """Returns the key of each id."""
    sampler = ReplaySampler(address, config, replay.spec, replay_sizes(config).share)
    keys = np.zeros(size, np.uint64)
    while not keys.all():
        superbatch = sampler.read()
        keys[superbatch.items.reward_t.astype(int)] = superbatch.keys
    return keys


def test_draws_are_proportional_to_initial_priorities(replay):
    config = replay.config(
        batch_size=256,
        steps_per_dispatch=8,
        kind="prioritized",
        priority_exponent=0.6,
        priority_epsilon=0.0,
        sequence_length=2,
    )
    address, _ = replay.serve(config)
    given = np.arange(1.0, 9.0)
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    writer.write(replay.sequences(range(8), 2, 0), given.astype(np.float32))
    writer.close()
    superbatch = ReplaySampler(
        address, config, replay.spec, replay_sizes(config).share
    ).read()
    ids = superbatch.items.reward[:, 0].astype(int)
    expected = given**0.6 / (given**0.6).sum()
    np.testing.assert_allclose(superbatch.probabilities, expected[ids], rtol=1e-4)
    counts = np.bincount(ids, minlength=8)
    assert scipy.stats.chisquare(counts, expected * counts.sum()).pvalue > 1e-6


def test_new_items_have_priority_one_and_last_update_wins(replay):
    config, address = _fill(replay, 1)
    replay.await_priority(address, 1.0)
    keys = _read_keys(replay, config, address, 1)
    updater = PriorityUpdater([address], config)
    put(updater, np.repeat(keys, 3), np.array([5.0, 7.0, 2.5], np.float32))
    replay.await_priority(address, 2.5)
    # Keys that are no longer in the table are ignored.
    known_and_not = np.array([keys[0] + np.uint64(1), keys[0]])
    put(updater, known_and_not, np.array([9.0, 3.0]))
    replay.await_priority(address, 3.0)
    updater.check()
    updater.close()


def test_epsilon_is_added_and_values_convert_in_the_thread(replay):
    config, address = _fill(replay, 1, epsilon=0.25)
    keys = _read_keys(replay, config, address, 1)
    threads = []

    def convert(doubled):
        threads.append(threading.current_thread().name)
        return doubled["values"] / 2

    updater = PriorityUpdater([address], config, convert)
    put(updater, keys, {"values": jnp.zeros(1)})
    # 0 / 2 + 0.25, then 3 / 2 + 0.25.
    replay.await_priority(address, 0.25)
    put(updater, keys, {"values": jnp.full(1, 3.0)})
    replay.await_priority(address, 1.75)
    updater.check()
    updater.close()
    assert threads == ["priority-updater"] * 2


@pytest.fixture
def server(replay):
    """A prioritized replay server that can be killed, with its `config`."""
    config = replay.config(
        kind="prioritized",
        transitions_per_item=1,
        priority_epsilon=0.0,
        launch={"connect_seconds": 20.0, "silent_seconds": 20.0},
    )
    mortal = MortalServer(serve_replay, config, replay.spec)
    mortal.config = config
    mortal.start()
    yield mortal
    mortal.kill()


def _fill_server(replay, server):
    """Writes 4 items and returns their keys."""
    config = server.config
    replay.fill(config, server.address, range(4))
    return _read_keys(replay, config, server.address, 4)


@pytest.mark.parametrize("is_under_way", [True, False])
def test_updates_continue_after_server_restart(replay, server, is_under_way):
    old = _fill_server(replay, server)
    updater = PriorityUpdater([server.address], server.config)
    put(updater, old, np.full(4, 2.0))
    replay.await_priority(server.address, 2.0)
    if is_under_way:
        server.freeze()
        put(updater, old, np.full(4, 3.0))
        replay.wait_until(lambda: updater._shards[0]._busy_since is not None)
        updater.check()
    server.kill()
    start = time.monotonic()
    for _ in range(100):
        put(updater, old, np.full(4, 3.0))
        updater.check()
    assert time.monotonic() - start < 1.0
    server.start()
    new = _fill_server(replay, server)
    updater.check()
    put(updater, new, np.full(4, 5.0))
    start = time.monotonic()
    replay.await_priority(server.address, 5.0)
    assert time.monotonic() - start < 3
    updater.check()
    updater.close()


def test_killed_shard_loses_only_its_own_updates(replay, server):
    config = server.config
    address, _ = replay.serve(config)
    replay.fill(config, address, range(4))
    keys = [_read_keys(replay, config, address, 4), _fill_server(replay, server)]
    updater = PriorityUpdater([address, server.address], config)
    server.kill()
    for factor in (1.0, 2.0):
        # The shards alternate: 1, 3, 5 and 7 are the first shard's priorities.
        priorities = factor * np.arange(1.0, 9.0)
        updater.put(np.stack(keys, axis=1).ravel(), np.tile([0, 1], 4), priorities)
        for wanted in (1.0, 3.0, 5.0, 7.0):
            replay.await_priority(address, factor * wanted)
        updater.check()
    server.start()
    updater.put(_fill_server(replay, server), np.ones(4, int), np.full(4, 9.0))
    replay.await_priority(server.address, 9.0)
    updater.check()
    updater.close()


def test_updater_waits_for_frozen_server(replay, server):
    keys = _fill_server(replay, server)
    updater = PriorityUpdater([server.address], server.config)
    server.freeze()
    put(updater, keys, np.full(4, 7.0))
    replay.wait_until(lambda: updater._shards[0]._busy_since is not None)
    for _ in range(10):
        updater.check()
    server.thaw()
    replay.await_priority(server.address, 7.0)
    replay.wait_until(lambda: updater._shards[0]._busy_since is None)
    updater.close()


def _await_error(replay, updater, put=lambda: None):
    def fails():
        put()
        try:
            updater.check()
        except RuntimeError as error:
            caught.append(error)
        return bool(caught)

    caught = []
    replay.wait_until(fails, seconds=10.0)
    return caught[0]


def test_server_dead_for_connect_seconds_is_an_error(replay, server):
    config = replay.config(
        kind="prioritized", priority_epsilon=0.0, launch={"connect_seconds": 0.3}
    )
    keys = _fill_server(replay, server)
    updater = PriorityUpdater([server.address], config)
    put(updater, keys, np.full(4, 2.0))
    replay.await_priority(server.address, 2.0)
    server.kill()

    def update():
        put(updater, keys, np.full(4, 3.0))

    assert "launch.connect_seconds" in str(_await_error(replay, updater, update))
    start = time.monotonic()
    updater.close()
    assert time.monotonic() - start < 1.0


def test_server_silent_for_silent_seconds_is_an_error(replay, server):
    launch = {"connect_seconds": 0.1, "silent_seconds": 0.2}
    config = replay.config(kind="prioritized", launch=launch)
    keys = _fill_server(replay, server)
    updater = PriorityUpdater([server.address], config)
    server.freeze()
    put(updater, keys, np.full(4, 3.0))
    assert "launch.silent_seconds" in str(_await_error(replay, updater))
    updater.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_priority_is_an_error_and_not_sent(replay, bad):
    config, address = _fill(replay, 2)
    keys = _read_keys(replay, config, address, 2)
    updater = PriorityUpdater([address], config)
    put(updater, keys, np.array([2.0, bad]))
    assert f"a new priority is {bad}" in str(_await_error(replay, updater).__cause__)
    samples = reverb.Client(address).sample(TABLE_NAME, 20, emit_timesteps=False)
    assert {sample.info.priority for sample in samples} == {1.0}
    updater.close()
