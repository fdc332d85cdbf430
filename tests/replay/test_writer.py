import threading
import time

import numpy as np
import pytest
import reverb
import tree
from mortal_servers import MortalServer, serve_replay
from replay.framed_play import Play, assert_same_bits, join_batches

from distrl.actor.n_step import NStepAccumulator
from distrl.frames import FrameLayout
from distrl.replay.forms import TABLE_NAME, make_form
from distrl.replay.writer import BlockWriter


def _serve_queue(replay, config):
    """Serves a queue, which gives each item once, in the order of insertion."""
    table = reverb.Table.queue(
        TABLE_NAME, 10_000, signature=make_form(config, replay.spec).signature
    )
    return replay.serve(config, table)


def _drain(address, table):
    """Returns the rewards of all blocks, `[blocks, G]`, in the order of insertion."""
    client = reverb.Client(address)
    samples = client.sample(TABLE_NAME, table.info.current_size, emit_timesteps=False)
    # Leaves in order: pixels, speed, action, reward.
    return np.array([sample.data[3] for sample in samples])


def _write_ids(replay, config, sizes, seed=0):
    """Writes batches of these sizes; returns the number written and the ids read."""
    address, table = _serve_queue(replay, config)
    writer = BlockWriter(address, config, replay.spec, seed, threading.Event())
    written, start = 0, 0
    for size in sizes:
        written += writer.write(replay.batch(np.arange(start, start + size)))
        start += size
    writer.close()
    return written, _drain(address, table)


@pytest.mark.parametrize("block", [1, 8, 32])
@pytest.mark.parametrize("shuffle_steps", [0, 3])
def test_each_transition_is_written_once(replay, block, shuffle_steps):
    config = replay.config(
        transitions_per_item=block,
        shuffle_steps=shuffle_steps,
        actor={"environments": 20},
    )
    # Sizes vary and some are 0, as n-step windows end together.
    sizes = np.random.default_rng(1).integers(0, 41, 30)
    written, rewards = _write_ids(replay, config, sizes)
    ids = rewards.ravel()
    assert rewards.shape[1] == block
    assert len(ids) == written
    assert len(np.unique(ids)) == written
    assert set(ids) <= set(range(sizes.sum()))
    pool_size = max(block, shuffle_steps * 20) if block > 1 else 1
    assert sizes.sum() - written < pool_size


@pytest.mark.parametrize(("block", "shuffle_steps"), [(1, 8), (8, 0)])
def test_order_is_kept_without_blocks_or_shuffle_steps(replay, block, shuffle_steps):
    config = replay.config(transitions_per_item=block, shuffle_steps=shuffle_steps)
    written, rewards = _write_ids(replay, config, [5, 0, 5, 30])
    assert written == 40
    np.testing.assert_array_equal(rewards.ravel(), np.arange(40))


def test_blocks_are_shuffled_by_the_seed(replay):
    config = replay.config(
        transitions_per_item=8, shuffle_steps=4, actor={"environments": 8}
    )
    orders = [
        _write_ids(replay, config, [8, 8, 8, 8], seed)[1].ravel() for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(np.sort(orders[0]), np.arange(32))
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    # Each block mixes several steps of the environments.
    steps = orders[0].reshape(4, 8) // 8
    assert all(len(np.unique(row)) > 1 for row in steps)


def test_blocks_of_frames_have_steps_of_one_environment(replay):
    play = Play(environments=3, steps=40, episode=4)
    accumulator = NStepAccumulator(3, 2, 0.9)
    config = replay.config(
        transitions_per_item=8,
        actor={"environments": 3, "n_step": 2},
        frame_stack=play.stack,
        kind="prioritized",
        sampled_on="learner",
    )
    form = make_form(config, play.spec)
    table = reverb.Table.queue(TABLE_NAME, 10_000, signature=form.signature)
    address, table = replay.serve(config, table)
    writer = BlockWriter(address, config, play.spec, 0, threading.Event())
    written, environment, items = 0, [], []
    for step in play.list_steps():
        batch = accumulator.add(step)
        numbers = np.arange(len(batch.environments)) + len(environment)
        data = batch.data._replace(reward_t=numbers.astype(np.float32))
        written += writer.write(data, numbers.astype(np.float32), batch.environments)
        environment += batch.environments.tolist()
        items.append(data)
    writer.close()
    client = reverb.Client(address)
    samples = client.sample(TABLE_NAME, table.info.current_size, emit_timesteps=False)
    parts = [[np.asarray(x)[None] for x in sample.data] for sample in samples]
    layout, found = FrameLayout(config, play.spec), []
    for framed, priorities in form.decode(parts):
        block = layout.decode(*framed)
        numbers = block.reward_t.astype(int)
        assert len({environment[number] for number in numbers}) == 1
        assert len(numbers) == 8 and (np.diff(numbers) > 0).all()
        np.testing.assert_allclose(priorities, numbers, atol=1e-5)
        wanted = tree.map_structure(lambda x, n=numbers: x[n], join_batches(items))
        assert_same_bits(block, wanted)
        found += numbers.tolist()
    assert len(set(found)) == len(found) == written
    # Of each environment fewer than a block is left, once the pool was full.
    assert len(environment) - written < 8 * 3


def test_given_priorities_are_stored_with_epsilon_added(replay):
    config = replay.config(kind="prioritized", priority_epsilon=0.25)
    address, table = replay.serve(config)
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    writer.write(replay.batch([]), np.zeros(0, np.float32))
    writer.write(replay.batch([0, 1, 2]), np.array([0.0, 2.0, 3.5], np.float32))
    writer.write(replay.batch([3]))
    writer.close()
    samples = reverb.Client(address).sample(TABLE_NAME, 200, emit_timesteps=False)
    priorities = {int(s.data[3][0]): s.info.priority for s in samples}
    # Epsilon is added to given priorities; the default is 1.
    assert priorities == {0: 0.25, 1: 2.25, 2: 3.75, 3: 1.0}


def test_stop_ends_a_blocked_write_within_half_a_second(replay):
    config = replay.config(
        transitions_per_item=1, min_size=10, samples_per_insert=2.0, error_buffer=8.0
    )
    address, table = replay.serve(config)
    stop = threading.Event()
    writer = BlockWriter(address, config, replay.spec, 0, stop)
    written = []

    def write():
        while not stop.is_set():
            written.append(writer.write(replay.batch(range(16))))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    # 10 inserts for min_size, and 8 / 2 more before samples are due.
    replay.wait_until(lambda: table.info.current_size == 14)
    assert not table.can_insert(1)
    thread.join(0.7)
    assert thread.is_alive(), "the limiter did not block the writer"
    start = time.monotonic()
    stop.set()
    thread.join(5.0)
    assert not thread.is_alive()
    assert time.monotonic() - start < 0.5
    # At most 32 are unconfirmed, and 8 wait for the next check.
    assert 14 <= sum(written) <= 14 + 40
    start = time.monotonic()
    writer.close()
    assert time.monotonic() - start < 0.5
    writer.close()
    assert writer.write(replay.batch(range(16))) == 0


def test_stop_ends_the_wait_for_a_server(replay):
    config = replay.config(transitions_per_item=1)
    address = f"localhost:{replay.free_port()}"
    stop = threading.Event()
    writer = BlockWriter(address, config, replay.spec, 0, stop)
    written = []
    thread = threading.Thread(
        target=lambda: written.append(writer.write(replay.batch([1]))), daemon=True
    )
    thread.start()
    stop.set()
    thread.join(1.0)
    assert written == [0]
    writer.close()


def test_nan_priority_is_an_error_and_not_written(replay):
    config = replay.config(kind="prioritized")
    address, table = replay.serve(config)
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    with pytest.raises(ValueError, match="has the priority nan"):
        writer.write(replay.batch([0, 1]), np.array([1.0, np.nan], np.float32))
    writer.close()
    assert table.info.current_size == 0


@pytest.fixture
def server(replay):
    """A server of single transitions that can be killed, with its `config`."""
    config = replay.config(transitions_per_item=1, launch={"connect_seconds": 20.0})
    mortal = MortalServer(serve_replay, config, replay.spec)
    mortal.config = config
    mortal.start()
    yield mortal
    mortal.kill()


def _read_ids(address, config, spec):
    """Returns the sorted ids of all transitions in a server, with duplicates."""
    client = reverb.Client(address)
    keys = {}
    size = client.server_info(timeout=10)[TABLE_NAME].current_size
    while len(keys) < size:
        for sample in client.sample(TABLE_NAME, 4 * size, emit_timesteps=False):
            keys[sample.info.key] = int(sample.data[3][0])
    return sorted(keys.values())


def test_writer_waits_for_frozen_server(replay, server):
    writer = BlockWriter(
        server.address, server.config, replay.spec, 0, threading.Event()
    )
    writer.write(replay.batch(range(10)))
    server.freeze()
    threading.Timer(1.0, server.thaw).start()
    assert writer.write(replay.batch(range(10, 200))) == 190
    writer.close()
    ids = _read_ids(server.address, server.config, replay.spec)
    assert ids == list(range(200))


def test_server_dead_for_connect_seconds_is_an_error(replay, server):
    config = replay.config(transitions_per_item=1, launch={"connect_seconds": 0.3})
    writer = BlockWriter(server.address, config, replay.spec, 0, threading.Event())
    writer.write(replay.batch(range(10)))
    server.kill()
    with pytest.raises(RuntimeError, match="launch.connect_seconds"):
        writer.write(replay.batch(range(100)))
    writer.close()


def test_wrong_shape_is_refused(replay):
    config = replay.config(transitions_per_item=1)
    address, _ = replay.serve(config)
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    batch = replay.batch([1])
    wrong = batch._replace(reward_t=batch.reward_t[:, None])
    with pytest.raises(ValueError, match="inconsistent with the table signature"):
        writer.write(wrong)
    writer.close()
