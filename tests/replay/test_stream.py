"""The queue between actors and a learner that keeps the items itself."""

import threading

import numpy as np
import pytest
from mortal_servers import MortalServer, serve_replay
from replay.conftest import Replay

from distrl.replay import BlockWriter, ItemStream


@pytest.fixture
def close():
    """Ends the streams of a test."""
    streams = []
    yield streams.append
    for stream in streams:
        stream.close(5.0)


def read_ids(stream, groups):
    """Returns the ids in the next groups, in their order."""
    read = []
    while len(read) < groups:
        group = stream.get(5.0)
        if group is not None:
            read.append(group.reward_t.astype(int).tolist())
    return read


def test_each_item_is_read_once_in_its_order(replay, close):
    config = replay.config(sampled_on="learner", transitions_per_item=2)
    address, table = replay.serve(config)
    stream = ItemStream([address], config, replay.spec, 4, lambda items: items)
    close(stream)
    replay.fill(config, address, range(20))
    # One transition of each of the four blocks in turn.
    assert read_ids(stream, 2) == [
        [0, 2, 4, 6, 1, 3, 5, 7],
        [8, 10, 12, 14, 9, 11, 13, 15],
    ]
    # The rest of a group waits for more.
    assert stream.get(2.5) is None
    replay.fill(config, address, range(20, 24))
    assert read_ids(stream, 1) == [[16, 18, 20, 22, 17, 19, 21, 23]]
    assert table.info.current_size == 0


def test_priorities_travel_with_the_transitions_of_a_block(replay, close):
    config = replay.config(
        sampled_on="learner",
        kind="prioritized",
        transitions_per_item=4,
        priority_epsilon=0.5,
    )
    address, _ = replay.serve(config)
    writer = BlockWriter(address, config, replay.spec, 0, threading.Event())
    writer.write(replay.batch(range(3)), np.array([0.0, 1.0, 2.0], np.float32))
    writer.write(replay.batch([3]))
    writer.close()
    stream = ItemStream([address], config, replay.spec, 1, lambda items: items)
    close(stream)
    items, priorities = stream.get(10.0)
    assert items.reward_t.tolist() == [0, 1, 2, 3]
    # 1 is that of an item without a priority from its actor.
    assert priorities.dtype == np.float32
    assert priorities.tolist() == [0.5, 1.5, 2.5, 1.0]


def test_actors_wait_while_the_queue_is_full(replay, close):
    config = replay.config(
        sampled_on="learner",
        transitions_per_item=1,
        samples_per_insert=1.0,
        error_buffer=50.0,
    )
    address, table = replay.serve(config)
    stop = threading.Event()
    writer = BlockWriter(address, config, replay.spec, 0, stop)
    written = threading.Event()

    def write():
        for first in range(0, 400, 8):
            writer.write(replay.batch(range(first, first + 8)))
        written.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    replay.wait_until(lambda: table.info.current_size == 50)
    assert not written.wait(1.0)
    assert table.info.current_size == 50
    stream = ItemStream([address], config, replay.spec, 10, lambda items: items)
    close(stream)
    assert sum(read_ids(stream, 40), []) == list(range(400))
    assert written.wait(10.0)
    stop.set()
    thread.join(10.0)
    writer.close()


def test_items_of_all_shards_are_read(replay, close):
    config = replay.config(sampled_on="learner", transitions_per_item=1, shards=2)
    addresses = [replay.serve(config)[0] for _ in range(2)]
    stream = ItemStream(addresses, config, replay.spec, 5, lambda items: items)
    close(stream)
    replay.fill(config, addresses[0], range(10))
    replay.fill(config, addresses[1], range(10, 20))
    groups = read_ids(stream, 4)
    assert sorted(sum(groups, [])) == list(range(20))
    # Each group is of one shard.
    assert sorted(groups) == [list(range(n, n + 5)) for n in (0, 5, 10, 15)]


def test_error_of_a_thread_is_raised(replay, close):
    config = replay.config(sampled_on="learner", transitions_per_item=1)
    address, _ = replay.serve(config)

    def refuse(items):
        raise ValueError("these items")

    stream = ItemStream([address], config, replay.spec, 1, refuse)
    close(stream)
    replay.fill(config, address, range(1))
    with pytest.raises(RuntimeError, match="reading replay failed") as caught:
        replay.wait_until(lambda: stream.get(0.1))
    assert str(caught.value.__cause__) == "these items"


def test_queue_of_a_restarted_server_is_read(close):
    config = Replay.config(sampled_on="learner", transitions_per_item=1)
    server = MortalServer(serve_replay, config, Replay.spec)
    server.start()
    try:
        stream = ItemStream([server.address], config, Replay.spec, 2, lambda x: x)
        close(stream)
        for first in (0, 2, 4):
            Replay().fill(config, server.address, range(first, first + 2))
            assert read_ids(stream, 1) == [[first, first + 1]]
            server.kill()
            server.start()
    finally:
        server.kill()
