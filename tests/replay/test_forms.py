"""Frames are stored once, and items are read back bit for bit."""

import dataclasses
import threading

import numpy as np
import pytest
import reverb
import tensorflow as tf
import tree
from hypothesis import given, settings
from hypothesis import strategies as st
from mortal_servers import MortalServer, serve_replay
from replay.conftest import Replay
from replay.framed_play import PLAYS, Play, assert_same_bits, join_batches
from reverb.cc import schema_pb2

from distrl.config.replay_sizes import replay_sizes
from distrl.replay.forms import TABLE_NAME, make_form
from distrl.replay.sampler import ReplaySampler
from distrl.replay.server import make_table
from distrl.replay.writer import BlockWriter


def make_config(replay, play, actor=None, **fields):
    """Returns a configuration for these episodes."""
    actor = {"environments": play.environments, **(actor or {})}
    return replay.config(actor=actor, frame_stack=play.stack, **fields)


def serve(replay, config, spec):
    """Serves a queue, which gives each item once, in the order of insertion."""
    signature = make_form(config, spec).signature
    table = reverb.Table.queue(TABLE_NAME, 10_000, signature=signature)
    return replay.serve(config, table)


def write(address, config, spec, batches, seed=0):
    """Writes batches; returns the number of items written."""
    writer = BlockWriter(address, config, spec, seed, threading.Event())
    written = sum(writer.write(batch) for batch in batches)
    writer.close()
    return written


def drain(address, table, config, spec):
    """Returns everything in a queue, decoded."""
    size = table.info.current_size
    samples = reverb.Client(address).sample(TABLE_NAME, size, emit_timesteps=False)
    parts = [[np.asarray(x)[None] for x in sample.data] for sample in samples]
    return make_form(config, spec).decode(parts)


def name(items):
    """Returns the numbers of transitions or sequences."""
    if hasattr(items, "reward_t"):
        return items.reward_t.astype(int)
    return items.reward[:, 0].astype(int)


def pick(items, rows):
    return tree.map_structure(lambda x: x[rows], items)


@settings(max_examples=40, deadline=None)
@given(
    play=PLAYS,
    n_step=st.integers(1, 5),
    block=st.sampled_from([1, 2, 8]),
    shuffle_steps=st.integers(0, 3),
)
def test_transitions_are_read_back_bit_exact(play, n_step, block, shuffle_steps):
    replay = Replay()
    config = make_config(
        replay,
        play,
        actor={"n_step": n_step},
        transitions_per_item=block,
        shuffle_steps=shuffle_steps,
    )
    batches = play.list_transitions(n_step)
    address, table = serve(replay, config, play.spec)
    written = write(address, config, play.spec, batches)
    assert table.info.current_size * block == written
    if written:
        got = drain(address, table, config, play.spec)
        ids = name(got)
        assert len(set(ids)) == len(ids) == written
        assert_same_bits(got, pick(join_batches(batches), ids))
    replay.stop()


@settings(max_examples=25, deadline=None)
@given(play=PLAYS, length=st.integers(1, 6), data=st.data())
def test_sequences_are_read_back_bit_exact(play, length, data):
    replay = Replay()
    config = make_config(replay, play, sequence_length=length, core="lstm")
    batches = play.list_sequences(length, data.draw(st.integers(1, length)))
    address, table = serve(replay, config, play.spec)
    written = write(address, config, play.spec, batches)
    assert table.info.current_size == written
    if written:
        got = drain(address, table, config, play.spec)
        assert_same_bits(got, join_batches(batches))
    replay.stop()


def test_partial_superbatches_are_joined(replay):
    # At one sample per insert, the first items allow less than a superbatch of 64.
    play = Play(environments=8, steps=12, episode=3)
    config = make_config(
        replay,
        play,
        batch_size=32,
        transitions_per_item=1,
        min_size=10,
        samples_per_insert=1.0,
        error_buffer=20.0,
    )
    batches = play.list_transitions()
    address, _ = replay.serve(config, make_table(config, play.spec))
    writer = BlockWriter(address, config, play.spec, 0, threading.Event())
    sampler = ReplaySampler(address, config, play.spec, replay_sizes(config).share)
    for batch in batches[:4]:
        writer.write(batch)
    assert sampler.read() is None
    for batch in batches[4:]:
        writer.write(batch)
    superbatch = sampler.read()
    assert superbatch.keys.shape == (64,)
    got = superbatch.items
    assert_same_bits(got, pick(join_batches(batches), name(got)))
    writer.close()


def read_chunks(path):
    """Returns the uncompressed bytes of each chunk in a Reverb checkpoint.

    A chunk that its writer sent twice counts once: this happens in one of a hundred
    runs on a busy machine.
    """
    records = tf.data.TFRecordDataset(f"{path}/chunks.tfrecord", "ZLIB")
    chunks = map(schema_pb2.ChunkData.FromString, records.as_numpy_iterator())
    return list({x.chunk_key: x.data_uncompressed_size for x in chunks}.values())


def count_stored(replay, config, spec, batches, directory):
    """Writes batches; returns the numbers of transitions, frames and chunks."""
    server = reverb.Server(
        [make_table(config, spec)],
        port=replay.free_port(),
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(directory)),
    )
    written = write(f"localhost:{server.port}", config, spec, batches)
    chunks = read_chunks(server.localhost_client().checkpoint())
    server.stop()
    frame = make_form(config, spec).signature.frames
    size = int(np.prod(frame.shape[1:])) * frame.dtype.size
    return written, chunks.count(size), len(chunks)


@pytest.mark.parametrize("block", [1, 8])
@pytest.mark.parametrize("n_step", [1, 3])
def test_each_frame_is_stored_once(replay, tmp_path, block, n_step):
    # 384 transitions of 4 environments, in episodes that do not end.
    play = Play(
        environments=4,
        steps=95 + n_step,
        values=2**31 - 1,
        dtype=np.int32,
        episode=10**9,
    )
    config = make_config(
        replay,
        play,
        actor={"n_step": n_step},
        transitions_per_item=block,
        shuffle_steps=4,
    )
    batches = play.list_transitions(n_step)
    written, frames, chunks = count_stored(replay, config, play.spec, batches, tmp_path)
    assert written == 384
    # One frame per step, the first one, and zeros before it. The first n-step items
    # bring n frames at once, of which one may be forgotten too early.
    once = 4 * (play.steps + 1) + 1
    assert once <= frames <= once + (4 if n_step > 1 else 0)
    assert chunks == frames + 384 / block


def test_episode_ends_add_at_most_two_frames_each(replay, tmp_path):
    play = Play(environments=4, steps=96, values=2**31 - 1, dtype=np.int32)
    config = make_config(replay, play, transitions_per_item=8, shuffle_steps=4)
    batches = play.list_transitions()
    written, frames, _ = count_stored(replay, config, play.spec, batches, tmp_path)
    ended = sum(step[4].sum() for step in play.list_steps())
    assert written == 384 and ended > 20
    # Each end adds the first frame of the next episode and the zeros before it.
    assert 4 * 97 < frames <= 4 * 97 + ended + ended


def test_observations_without_shared_frames_are_stored_whole(replay, tmp_path):
    play = Play(environments=4, steps=32, values=2**31 - 1, dtype=np.int32)
    play = dataclasses.replace(play, honest=False)
    config = make_config(replay, play, transitions_per_item=8, shuffle_steps=4)
    batches = play.list_transitions()
    written, frames, _ = count_stored(replay, config, play.spec, batches, tmp_path)
    # Two transitions share an observation, unless an episode ends there.
    assert 128 * 4 <= frames <= 2 * 128 * 4 and written == 128


@pytest.mark.parametrize("block", [1, 8])
def test_restarted_server_receives_earlier_frames_again(replay, block):
    play = Play(environments=4, steps=80)
    config = make_config(
        replay,
        play,
        transitions_per_item=block,
        shuffle_steps=4,
        launch={"connect_seconds": 20.0},
    )
    batches = play.list_transitions()
    server = MortalServer(serve_replay, config, play.spec)
    server.start()
    try:
        writer = BlockWriter(server.address, config, play.spec, 0, threading.Event())
        for batch in batches[:42]:
            writer.write(batch)
        server.kill()
        server.start()
        for batch in batches[42:]:
            writer.write(batch)
        client = reverb.Client(server.address)

        def read_size():
            return client.server_info(timeout=10)[TABLE_NAME].current_size

        replay.wait_until(read_size)
        writer.close()
        size = read_size()
        samples = client.sample(TABLE_NAME, 20 * size, emit_timesteps=False)
        parts = [[np.asarray(x)[None] for x in sample.data] for sample in samples]
    finally:
        server.kill()
    got = make_form(config, play.spec).decode(parts)
    ids = name(got)
    # The first items of the new server have frames that the old one received.
    assert ids.min() < 4 * (42 + 4) and ids.max() >= 4 * 76
    assert_same_bits(got, pick(join_batches(batches), ids))
