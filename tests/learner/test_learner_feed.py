"""Superbatches reach the devices whole, in order, and ahead of time."""

import threading
import time

import jax
import numpy as np
import pytest
from dm_env import specs
from mortal_servers import MortalServer, serve_replay
from real_services import Services, wait_until

from distrl.config import Config, LaunchConfig, LearnerConfig, ReplayConfig
from distrl.learner.devices import put_superbatch
from distrl.learner.feed import Feed
from distrl.replay import BlockWriter, ReplaySampler
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec({"x": specs.Array((2,), np.float32)}, num_actions=2)
STEPS, BATCH = 3, 8


@pytest.fixture
def services():
    started = Services()
    yield started
    started.close()


def make_config(block=2, **launch):
    return Config(
        replay=ReplayConfig(
            min_size=block,
            samples_per_insert=None,
            transitions_per_item=block,
            shuffle_steps=0,
        ),
        learner=LearnerConfig(batch_size=BATCH, steps_per_dispatch=STEPS),
        launch=LaunchConfig(**launch),
    )


def make_transitions(size):
    """The reward is the number of the transition; the rest follows from it."""
    ids = np.arange(size, dtype=np.float32)
    return Transition(
        observation_tm1={"x": np.stack([ids, -ids], axis=1)},
        action_tm1=(ids % 2).astype(np.int32),
        reward_t=ids,
        discount_t=ids / 100,
        observation_t={"x": np.stack([ids + 1, -ids - 1], axis=1)},
    )


def fill(services, config, size=64):
    address, _ = services.serve_replay(config, SPEC)
    writer = BlockWriter(address, config, SPEC, 0, services.stop)
    writer.write(make_transitions(size))
    writer.close()
    return address


class RecordingSampler(ReplaySampler):
    """Keeps what it read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.sampled = []

    def read(self):
        superbatch = super().read()
        if superbatch is not None:
            self.sampled.append(superbatch)
        return superbatch


def get(feed):
    for _ in range(100):
        superbatch = feed.get(0.2)
        if superbatch is not None:
            return superbatch
    raise AssertionError("the feed gave nothing")


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_a_superbatch_is_cut_over_devices_in_its_order(services, num_devices):
    config = make_config()
    sampler = RecordingSampler(fill(services, config), config, SPEC)
    devices = jax.devices()[:num_devices]
    feed = Feed([sampler], config, devices)
    fed = [get(feed) for _ in range(3)]
    feed.close(5)
    share = BATCH // num_devices
    for superbatch, sampled in zip(fed, sampler.sampled, strict=False):
        np.testing.assert_array_equal(superbatch.keys, sampled.keys)
        assert superbatch.keys.dtype == np.uint64
        rewards = superbatch.items.reward_t
        assert rewards.shape == (num_devices, STEPS, share)
        assert [shard.device for shard in rewards.addressable_shards] == devices
        # Step k of device d holds the transitions k * 8 + d * share, and on.
        for d, k, i in np.ndindex(rewards.shape):
            number = k * BATCH + d * share + i
            reward = sampled.items.reward_t[number]
            assert rewards[d, k, i] == reward
            observation = superbatch.items.observation_tm1["x"][d, k, i]
            np.testing.assert_array_equal(observation, [reward, -reward])
            assert superbatch.items.action_tm1[d, k, i] == reward % 2
            chance = superbatch.probabilities[d, k, i]
            assert chance == sampled.probabilities[number]
        # 64 transitions are 32 items of two, all drawn alike.
        np.testing.assert_allclose(superbatch.probabilities, 1 / 32)


def test_an_array_is_put_where_the_update_wants_it():
    # Two steps of a batch of four on two devices, by hand.
    put = put_superbatch({"x": np.arange(8)}, jax.devices()[:2], num_steps=2)["x"]
    np.testing.assert_array_equal(put, [[[0, 1], [4, 5]], [[2, 3], [6, 7]]])
    for shard, device in zip(put.addressable_shards, jax.devices(), strict=False):
        assert shard.device == device
        assert shard.data.shape == (1, 2, 2)


def test_an_empty_replay_gives_nothing_and_the_thread_ends(services):
    config = make_config()
    address, _ = services.serve_replay(config, SPEC)
    before = set(threading.enumerate())
    feed = Feed([ReplaySampler(address, config, SPEC)], config, jax.devices()[:1])
    (thread,) = set(threading.enumerate()) - before
    assert feed.get(0.01) is None
    # The thread sits in a read, which ends after a second of silence.
    feed.close(10)
    assert not thread.is_alive()


def test_the_thread_ends_while_nobody_takes_what_it_holds(services):
    config = make_config()
    sampler = RecordingSampler(fill(services, config), config, SPEC)
    before = set(threading.enumerate())
    feed = Feed([sampler], config, jax.devices()[:2])
    (thread,) = set(threading.enumerate()) - before
    get(feed)
    # One waits in the queue and one in the thread's hands, no more.
    wait_until(lambda: len(sampler.sampled) == 3)
    feed.close(10)
    assert not thread.is_alive()
    assert len(sampler.sampled) == 3


def test_an_error_of_the_thread_is_raised_by_get():
    config = make_config(connect_seconds=0.05)
    sampler = ReplaySampler("localhost:1", config, SPEC)
    feed = Feed([sampler], config, jax.devices()[:1])
    with pytest.raises(RuntimeError, match="reading replay failed") as caught:
        for _ in range(100):
            feed.get(0.1)
    assert "localhost:1" in str(caught.value.__cause__)
    feed.close(1)


@pytest.fixture
def server():
    """A replay server that can be killed; `config` is its own."""
    mortal = MortalServer(serve_replay, make_config(connect_seconds=20.0), SPEC)
    mortal.config = make_config(connect_seconds=20.0)
    mortal.start()
    yield mortal
    mortal.kill()


def fill_server(server, rewards):
    writer = BlockWriter(server.address, server.config, SPEC, 0, threading.Event())
    writer.write(make_transitions(64)._replace(reward_t=np.float32(rewards)))
    writer.close()


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_restarted_server_is_read_from_at_once(server, is_empty):
    sampler = ReplaySampler(server.address, server.config, SPEC)
    feed = Feed([sampler], server.config, jax.devices()[:1])
    for number in range(3):
        if not is_empty:
            fill_server(server, [number] * 64)
            # What was read before the last server ended is used up first.
            while get(feed).items.reward_t.max() < number:
                continue
        assert feed.get(0.01) is None or not is_empty
        server.kill()
        # The learner takes all there is and then waits, inside Reverb.
        while feed.get(0.3) is not None:
            continue
        server.start()
    fill_server(server, [9.0] * 64)
    began = time.monotonic()
    while get(feed).items.reward_t.max() < 9.0:
        continue
    assert time.monotonic() - began < 4
    began = time.monotonic()
    feed.close(5)
    assert time.monotonic() - began < 3


def test_an_empty_table_a_limiter_and_a_frozen_server_are_no_faults(server):
    sampler = ReplaySampler(server.address, server.config, SPEC)
    feed = Feed([sampler], server.config, jax.devices()[:1])
    for _ in range(8):
        assert feed.get(0.2) is None
    server.freeze()
    for _ in range(8):
        assert feed.get(0.2) is None
    server.thaw()
    fill_server(server, [1.0] * 64)
    assert get(feed).items.reward_t.max() == 1.0
    feed.close(5)


def test_a_server_that_does_not_come_back_is_given_up(server):
    config = make_config(connect_seconds=0.5)
    sampler = ReplaySampler(server.address, config, SPEC)
    feed = Feed([sampler], config, jax.devices()[:1])
    wait_until(lambda: sampler._iterator is not None)
    server.kill()
    with pytest.raises(RuntimeError, match=r"launch\.connect_seconds"):
        for _ in range(100):
            feed.get(0.1)
    feed.close(5)
