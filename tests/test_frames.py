"""Items as rows of words and distinct frames."""

import numpy as np
import pytest
from dm_env import specs
from replay.framed_play import Play

from distrl.config import config_from_dict
from distrl.errors import ConfigError
from distrl.frames import (
    FrameLayout,
    count_framed_bytes,
    count_kept,
    count_ring_frames,
    count_shared,
)
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), 2)


def make_config(backend="processes", actor=(), **replay):
    return config_from_dict(
        {
            "actor": {"environments": 16, **dict(actor)},
            "replay": {"frame_stack": 4, "capacity": 100_000, **replay},
            "launch": {"backend": backend},
        }
    )


def test_row_has_the_bits_of_the_item_and_then_its_frames():
    play = Play(environments=1, steps=1, masked=True)
    layout = FrameLayout(make_config(), play.spec)
    # Action, reward, discount and two masks of three actions; two stacks of four.
    assert (layout.words, layout.indices) == (3 + 6, 8)
    (batch,) = play.list_transitions()
    frames, words = layout.encode(batch)
    assert frames.shape == (1, 8) and words.shape == (1, 9)
    observed = batch.observation_t["observation"][0]
    np.testing.assert_array_equal(
        layout.read_frame(frames[0, -1])[..., 0], observed[..., -1]
    )
    assert words[0, 1:2].view(np.float32) == batch.reward_t
    np.testing.assert_array_equal(words[0, -3:], batch.observation_t["action_mask"][0])


def test_observations_that_are_no_stacks_are_refused():
    spec = EnvironmentSpec(specs.Array((5,), np.float32), 2)
    with pytest.raises(ConfigError, match="frame_stack = 4: it must divide"):
        FrameLayout(make_config(), spec)


@pytest.mark.parametrize(
    ("config", "capacity", "frames"),
    [
        # 32 steps of one environment have 36 frames; a quarter more.
        (make_config(), 100_000, 140_625),
        (make_config(actor={"n_step": 3}), 100_000, 148_438),
        (make_config(transitions_per_item=1), 100_000, 625_000),
        # A transition has no more than eight.
        (make_config(actor={"n_step": 9}, transitions_per_item=1), 1_000, 10_000),
        # 512 transitions of eight frames fit, whatever the capacity.
        (make_config(), 1_000, 4_096),
        (make_config(), 100, 800),
        # One frame per step, and 2 * 16 * 5 that a step may share.
        (make_config("serial"), 100_000, 125_160),
    ],
)
def test_frames_that_replay_has_room_for(config, capacity, frames):
    assert count_ring_frames(config, 8, capacity) == frames


def test_sequences_need_their_own_frames_or_those_of_new_steps():
    fields = {"sequence_length": 20, "sequence_period": 10, "transitions_per_item": 1}
    agent = {"agent": "r2d2"}
    replay = {"frame_stack": 4, "capacity": 100_000, **fields}
    config = config_from_dict({**agent, "replay": replay})
    assert count_ring_frames(config, 84, 100_000) == 1.25 * 24 * 100_000
    serial = config_from_dict(
        {**agent, "replay": replay, "launch": {"backend": "serial"}}
    )
    assert count_shared(serial) == 16 * 24
    assert count_ring_frames(serial, 84, 100_000) == 1.25 * 10 * 100_000 + 2 * 16 * 24


def test_blocks_refer_to_no_earlier_frames():
    assert count_kept(make_config()) == 0
    assert count_kept(make_config("serial")) == 160


def test_bytes_of_frames_rows_and_ages_are_counted():
    # 1.40625 frames of 84 * 84, 3 words and 8 indices, and the age.
    assert count_framed_bytes(make_config(), SPEC) == 9_923 + 11 * 4 + 4
