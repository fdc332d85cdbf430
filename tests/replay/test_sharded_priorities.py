"""Priorities find the shard of their item."""

import numpy as np
import reverb
from mortal_servers import MortalServer, serve_replay

from distrl.replay.forms import TABLE_NAME
from distrl.replay.priorities import PriorityUpdater
from distrl.replay.sharded import ShardedSampler, make_samplers

SHARDS, EACH = 3, 4


def configure(replay):
    return replay.config(
        batch_size=96,
        steps_per_dispatch=1,
        kind="prioritized",
        shards=SHARDS,
        priority_epsilon=0.25,
        launch={"connect_seconds": 20.0, "silent_seconds": 20.0},
    )


def fill(replay, config, addresses):
    """Writes ids 0 to 3 to the first shard, 4 to 7 to the second, and so on."""
    for shard, address in enumerate(addresses):
        ids = np.arange(EACH) + EACH * shard
        replay.write(config, address, replay.batch(ids))


def read_all(replay, config, addresses):
    """Returns a superbatch that holds all items."""
    samplers = make_samplers(addresses, config, replay.spec)
    sampler = ShardedSampler(samplers, 1, lambda superbatch: superbatch)
    superbatch = sampler.get(30.0)
    sampler.close(0.0)
    assert set(superbatch.items.reward_t.astype(int)) == set(range(SHARDS * EACH))
    return superbatch


def read_priorities(address, key_to_id):
    samples = reverb.Client(address).sample(TABLE_NAME, 200, emit_timesteps=False)
    return {
        key_to_id.get(each.info.key, each.info.key): each.info.priority
        for each in samples
    }


def make_priorities(superbatch):
    return (superbatch.items.reward_t + 1).astype(np.float32)


def test_a_shard_that_is_away_loses_only_its_own(replay):
    config = configure(replay)
    mortal = MortalServer(serve_replay, config, replay.spec)
    mortal.start()
    addresses = [replay.serve(config)[0] for _ in range(SHARDS - 1)]
    addresses.append(mortal.address)
    fill(replay, config, addresses)
    superbatch = read_all(replay, config, addresses)
    key_to_id = dict(
        zip(superbatch.keys, superbatch.items.reward_t.astype(int), strict=True)
    )
    updater = PriorityUpdater(addresses, config)
    mortal.kill()
    try:
        for factor in (1.0, 2.0):
            priorities = factor * make_priorities(superbatch)
            updater.put(superbatch.keys, superbatch.shards, priorities)
            for shard, address in enumerate(addresses[:-1]):
                ids = range(EACH * shard, EACH * (shard + 1))
                expected = {i: factor * (i + 1) + 0.25 for i in ids}
                replay.wait_until(
                    lambda a=address, e=expected: read_priorities(a, key_to_id) == e
                )
            updater.check()
        # Back at its address, and empty: it passes over the keys that it has not.
        mortal.start()
        fill(replay, config, addresses)
        address = addresses[-1]
        samples = reverb.Client(address).sample(TABLE_NAME, 1, emit_timesteps=False)
        key = next(samples).info.key
        keys = np.array([superbatch.keys[0], key], np.uint64)
        updater.put(keys, np.array([SHARDS - 1] * 2), np.array([7.0, 9.0]))
        replay.wait_until(lambda: 9.25 in read_priorities(address, {}).values())
        updater.check()
    finally:
        updater.close()
        mortal.kill()
