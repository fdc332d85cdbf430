"""Replay with each frame once gives the items that were added, bit for bit."""

import types

import jax
import numpy as np
import pytest
import tree
from hypothesis import given, settings
from hypothesis import strategies as st
from replay.framed_play import PLAYS, Play, assert_same_bits, join_batches

from distrl.config import config_from_dict
from distrl.frames import FramedItems, FrameLayout, count_kept
from distrl.learner import sum_tree
from distrl.learner.frame_buffer import (
    FrameBuffer,
    FrameMemory,
    join_blocks,
    stack_groups,
)

DRAWS = 4_096


def make_config(play, backend="serial", n_step=1, **replay):
    sections = {
        "actor": {"environments": play.environments, "n_step": n_step},
        "launch": {"backend": backend},
        "replay": {
            "frame_stack": play.stack,
            "min_size": 1,
            **{"capacity": 64, "transitions_per_item": 8, **replay},
        },
    }
    if "sequence_length" in replay:
        sections |= {"agent": "r2d2", "network": {"core": "lstm", "core_size": 5}}
        sections["actor"].pop("n_step")
    return config_from_dict(sections)


class Replay:
    """A buffer, with jitted functions, and what was added so far."""

    def __init__(self, play, config, capacity=64):
        self.layout = FrameLayout(config, play.spec)
        self.buffer = FrameBuffer(config, capacity, self.layout)
        self.state = self.buffer.init(self.layout.spec)
        self.memory = FrameMemory(self.layout, count_kept(config))
        self.frames = 0
        self._capacity = capacity
        self._added = []
        self._add = jax.jit(self.buffer.add, donate_argnums=0)
        self._draw = jax.jit(self.buffer.draw, static_argnums=2)

    def add(self, items, priorities=None):
        self.add_framed(self.memory.encode(items), items, priorities)

    def add_framed(self, framed, items, priorities=None):
        count = len(framed.words)
        if priorities is None:
            priorities = np.ones(count, np.float32)
        group = jax.tree.map(lambda x: x[0], stack_groups([framed]))
        self.frames += len(framed.frames)
        self.state = self._add(self.state, group, priorities)
        self._added.append(items)

    def draw(self, seed=0):
        key = jax.random.PRNGKey(seed)
        slots, probabilities = self._draw(self.state, key, DRAWS)
        items = jax.jit(self.buffer.read)(self.state, slots)
        return types.SimpleNamespace(
            slots=slots, items=items, probabilities=probabilities
        )

    def find(self, drawn):
        """Returns the added items in the slots that were drawn, and their numbers."""
        added = join_batches(self._added)
        total = len(tree.flatten(added)[0])
        age = (total - 1 - np.asarray(drawn.slots)) % self._capacity
        numbers = total - 1 - age
        return tree.map_structure(lambda x: x[numbers], added), numbers


def list_batches(play, config):
    """Returns batches of items as the serial backend inserts them, none empty."""
    if config.replay.sequence_length is None:
        batches = play.list_transitions(config.actor.n_step)
    else:
        replay = config.replay
        batches = play.list_sequences(replay.sequence_length, replay.sequence_stride)
    return [batch for batch in batches if len(tree.flatten(batch)[0])]


@settings(max_examples=30, deadline=None)
@given(
    play=PLAYS,
    n_step=st.integers(1, 5),
    kind=st.sampled_from(["uniform", "prioritized"]),
)
def test_drawn_transitions_are_those_that_were_added(play, n_step, kind):
    config = make_config(play, n_step=n_step, kind=kind)
    replay = Replay(play, config)
    for batch in list_batches(play, config):
        replay.add(batch)
        drawn = replay.draw()
        wanted, _ = replay.find(drawn)
        assert_same_bits(jax.tree.map(np.asarray, drawn.items), wanted)


@settings(max_examples=15, deadline=None)
@given(play=PLAYS, length=st.integers(1, 6), data=st.data())
def test_drawn_sequences_are_those_that_were_added(play, length, data):
    period = data.draw(st.integers(1, length))
    config = make_config(
        play, sequence_length=length, sequence_period=period, transitions_per_item=1
    )
    replay = Replay(play, config)
    for batch in list_batches(play, config):
        replay.add(batch)
        drawn = replay.draw()
        wanted, _ = replay.find(drawn)
        assert_same_bits(jax.tree.map(np.asarray, drawn.items), wanted)


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_items_whose_frames_are_overwritten_are_not_drawn(kind):
    # No two observations share a frame, so each transition has at least four.
    play = Play(environments=1, steps=3_000, honest=False, episode=10**9)
    config = make_config(play, capacity=1_024, kind=kind)
    replay = Replay(play, config, 1_024)
    batches = [
        join_batches(batches)
        for batches in zip(*[iter(list_batches(play, config))] * 50, strict=False)
    ]
    room = len(replay.state.items.frames) - count_kept(config)
    for number, batch in enumerate(batches, start=1):
        replay.add(batch)
        drawn = replay.draw(number)
        wanted, numbers = replay.find(drawn)
        assert_same_bits(jax.tree.map(np.asarray, drawn.items), wanted)
        groups = replay.frames // number
        valid = 50 * min(number, room // groups)
        assert numbers.min() >= 50 * number - valid
        np.testing.assert_allclose(drawn.probabilities, 1 / valid, rtol=1e-5)
        if kind == "prioritized":
            total = sum_tree.total(replay.state.tree)
            np.testing.assert_allclose(total, valid, rtol=1e-5)
    assert valid < 1_024


def test_each_frame_is_kept_once():
    play = Play(
        environments=4, steps=300, values=2**31 - 1, dtype=np.int32, episode=10**9
    )
    config = make_config(play, capacity=1_024)
    replay = Replay(play, config, 1_024)
    for batch in list_batches(play, config):
        replay.add(batch)
    # One for each step, the first observation's and the zeros before it.
    assert replay.frames == 4 * 301 + 1


@settings(max_examples=20, deadline=None)
@given(play=PLAYS, block=st.sampled_from([1, 2, 8]))
def test_joined_blocks_are_the_items_of_the_blocks(play, block):
    config = make_config(play, backend="processes", transitions_per_item=block)
    replay = Replay(play, config)
    items = join_batches(list_batches(play, config))
    count = len(items.reward_t) // block * block
    items = tree.map_structure(lambda x: x[:count], items)
    blocks = [
        FrameMemory(replay.layout, 0).encode(
            tree.map_structure(lambda x, i=i: x[i : i + block], items)
        )
        for i in range(0, count, block)
    ]
    for start in range(0, len(blocks), 4):
        joined = join_blocks(blocks[start : start + 4], replay.layout.words)
        rows = slice(start * block, (start + 4) * block)
        added = tree.map_structure(lambda x, rows=rows: x[rows], items)
        replay.add_framed(FramedItems(*map(np.asarray, joined)), added)
        drawn = replay.draw()
        wanted, _ = replay.find(drawn)
        assert_same_bits(jax.tree.map(np.asarray, drawn.items), wanted)
