"""Atari by ale-py: the effects of its options."""

import numpy as np
import pytest
from dm_env import specs

from distrl.environments import make_environment, read_spec
from distrl.environments.atari_suite import find_games, load_atari
from distrl.environments.suites import parse_address

NOOP = np.zeros(1, np.int32)
DETERMINISTIC = "repeat_action_probability=0&noop_max=0&num_threads=1"


def load(address, *seeds):
    return load_atari(parse_address(address, {}), seeds or (0,))


def reset(batch):
    return batch.reset(list(range(len(batch))))


def play(batch, actions):
    """Returns the observations of a batch of one, from its reset on."""
    frames = [reset(batch)]
    frames += [batch.step(np.array([action])).observation_t for action in actions]
    return np.concatenate(frames)


def test_default_preprocessing_stacks_four_gray_frames():
    spec = read_spec("atari:Pong", {})
    assert spec.observation == specs.BoundedArray((84, 84, 4), np.uint8, 0, 255)
    assert spec.num_actions == 6
    observation = reset(load("atari:Pong"))
    assert (observation.shape, observation.dtype) == ((1, 84, 84, 4), np.uint8)
    # The newest frame is the last; the others are still empty.
    assert observation[..., 3].any()
    assert not observation[..., :3].any()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("stack_size=1", (84, 84, 1)),
        ("screen_size=42&stack_size=2", (42, 42, 2)),
        ("grayscale=false", (84, 84, 12)),
    ],
)
def test_preprocessing_options_set_the_shape(options, shape):
    environment = make_environment(f"atari:Pong?{options}", {}, seed=0)
    environment.observation_spec().validate(environment.reset().observation)
    assert environment.observation_spec().shape == shape


def test_newest_color_frame_is_the_last_three_channels():
    (frame,) = reset(load(f"atari:Pong?grayscale=false&{DETERMINISTIC}"))
    red, green, blue = np.moveaxis(frame[..., 9:].astype(int), 2, 0)
    assert (red > blue).any()  # the ground of Pong is brown
    assert not frame[..., :9].any()
    assert green.any()


def test_step_takes_frame_skip_frames():
    # Four steps of one frame end in the same frame as one step of four.
    each = "stack_size=1&max_pooling=false"
    by_one = load(f"atari:Pong?frame_skip=1&{each}&{DETERMINISTIC}")
    by_four = load(f"atari:Pong?frame_skip=4&{each}&{DETERMINISTIC}")
    actions = [0, 2, 2, 3, 3, 0, 2, 2]
    fine = play(by_one, np.repeat(actions, 4))
    np.testing.assert_array_equal(play(by_four, actions)[1:], fine[4::4])
    assert len({frame.tobytes() for frame in fine}) > 8


def test_actions_are_sticky_by_default():
    actions = np.random.RandomState(0).randint(6, size=40)
    same = {
        options: [
            play(load(f"atari:Pong?noop_max=0&{options}", seed), actions)
            for seed in (1, 2)
        ]
        for options in ("repeat_action_probability=0", "num_threads=1")
    }
    np.testing.assert_array_equal(*same["repeat_action_probability=0"])
    assert (same["num_threads=1"][0] != same["num_threads=1"][1]).any()


def test_games_begin_with_a_random_number_of_noops():
    def count_frames(options):
        batch = load(f"atari:Pong?{options}", 3)
        counts = set()
        for _ in range(25):
            reset(batch)
            counts.add(read_frame_number(batch))
        return counts

    assert count_frames("noop_max=0") == {0}
    assert count_frames("noop_max=2") == {0, 1, 2}


def read_frame_number(batch):
    # A reset with an empty mask only returns the current info.
    _, info = batch._pool.reset(options={"reset_mask": np.zeros(1, bool)})
    return int(info["episode_frame_number"][0])


@pytest.mark.parametrize("life_loss", [False, True])
def test_terminal_on_life_loss_only_zeroes_discounts(life_loss):
    flag = str(life_loss).lower()
    batch = load(f"atari:Breakout?terminal_on_life_loss={flag}", 5, 6)
    reset(batch)
    random = np.random.RandomState(0)
    zeros, overs = np.zeros(2, int), np.zeros(2, int)
    # A game has five lives.
    while overs.min() == 0:
        step = batch.step(random.randint(4, size=2))
        assert not (step.last_t & (step.discount_t > 0)).any()
        zeros += (step.discount_t == 0) & (overs == 0)
        overs += step.last_t
        if step.last_t.any():
            batch.reset(np.flatnonzero(step.last_t).tolist())
    np.testing.assert_array_equal(zeros, [5, 5] if life_loss else [1, 1])


def test_partial_reset_leaves_other_games_running():
    batch, alone = load("atari:Pong", 1, 2), load("atari:Pong", 2)
    reset(batch)
    reset(alone)
    for t in range(12):
        step, expected = batch.step(np.array([2, 3])), alone.step(np.array([3]))
        np.testing.assert_array_equal(step.observation_t[1:], expected.observation_t)
        if t % 3 == 0:
            assert batch.reset([0]).shape == (1, 84, 84, 4)


def test_games_are_known_by_both_spellings():
    assert {"Pong", "SpaceInvaders", "MsPacman"} <= set(find_games())
    assert len(find_games()) > 100
    for name in ("MsPacman", "ms_pacman"):
        assert load(f"atari:{name}").action_spec().num_values == 9
