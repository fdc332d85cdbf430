"""Stacks are taken apart and put together, bit by bit; what is none is refused."""

import numpy as np
import pytest
from dm_env import specs
from hypothesis import given
from hypothesis import strategies as st

from distrl.errors import ConfigError
from distrl.frames import (
    check_frame_stack,
    join_frames,
    make_frame_spec,
    split_frames,
)
from distrl.types import EnvironmentSpec


def make_spec(shape, dtype=np.uint8):
    return EnvironmentSpec(specs.Array(shape, dtype), 2)


@given(
    count=st.integers(0, 4),
    shape=st.lists(st.integers(1, 3), max_size=3),
    stack=st.integers(2, 4),
    channels=st.integers(1, 3),
    dtype=st.sampled_from([np.uint8, np.int32, np.float32]),
)
def test_joining_undoes_splitting(count, shape, stack, channels, dtype):
    whole = (count, *shape, stack * channels)
    observation = np.arange(np.prod(whole)).reshape(whole).astype(dtype)
    frames = split_frames(observation, stack)
    assert frames.shape == (count, stack, *shape, channels)
    assert frames.flags.c_contiguous and frames.dtype == dtype
    assert not np.shares_memory(frames, observation)
    for number in range(stack):
        first = number * channels
        expected = observation[..., first : first + channels]
        np.testing.assert_array_equal(frames[:, number], expected)
    joined = join_frames(frames)
    np.testing.assert_array_equal(joined, observation)
    assert joined.dtype == dtype
    if channels == 1 and count:
        assert np.shares_memory(joined, frames)
    spec = make_frame_spec(make_spec(whole[1:], dtype), stack)
    assert (spec.shape, spec.dtype) == (frames.shape[2:], dtype)


@pytest.mark.parametrize(
    ("stack", "spec"),
    [
        (None, EnvironmentSpec({"a": specs.Array((3,), np.float32)}, 2)),
        (4, make_spec((84, 84, 4))),
        (4, make_spec((84, 84, 12))),
        (3, make_spec((6,), np.float32)),
    ],
)
def test_stacks_are_let_through(stack, spec):
    check_frame_stack(stack, spec)


@pytest.mark.parametrize(
    ("stack", "spec", "words"),
    [
        (
            3,
            make_spec((84, 84, 4)),
            ["replay.frame_stack = 3", "last axis", "[84, 84, 4]", "for example 2"],
        ),
        (2, make_spec((7, 1)), ["replay.frame_stack = 2", "[7, 1]", "null"]),
        (2, make_spec(()), ["replay.frame_stack = 2", "[]", "null"]),
        (
            4,
            EnvironmentSpec({"observation": specs.Array((8, 4), np.uint8)}, 2),
            ["replay.frame_stack = 4", "is a dict", "network.last_action_reward"],
        ),
    ],
)
def test_what_is_no_stack_is_refused(stack, spec, words):
    with pytest.raises(ConfigError) as caught:
        check_frame_stack(stack, spec)
    for word in words:
        assert word in str(caught.value)
