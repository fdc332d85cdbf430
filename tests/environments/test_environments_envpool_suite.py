"""EnvPool: its specs, seeds and options, and its agreement with ale-py."""

import os
import subprocess
import sys

import numpy as np
import pytest
from dm_env import specs

from distrl.environments import read_spec
from distrl.environments.atari_suite import load_atari
from distrl.environments.envpool_suite import load_envpool
from distrl.environments.suites import parse_address

pytest.importorskip("envpool")


def load(address, seeds=(0,)):
    return load_envpool(parse_address(address, {}), seeds)


@pytest.mark.parametrize(
    ("uri", "observation", "num_actions"),
    [
        ("Pong-v5", specs.BoundedArray((84, 84, 4), np.uint8, 0, 255), 6),
        ("Pong-v5?gray_scale=false", specs.BoundedArray((84, 84, 12), "u1", 0, 255), 6),
        ("CoinrunEasy-v0", specs.BoundedArray((64, 64, 3), np.uint8, 0, 255), 15),
        (
            "CoinrunEasy-v0?channel_first=false",
            specs.BoundedArray((64, 64, 3), np.uint8, 0, 255),
            15,
        ),
        # EnvPool's bounds of floats are dropped: LunarLander's are wrong.
        ("LunarLander-v2", specs.Array((8,), np.float32), 4),
        ("Catch-v0", specs.Array((10, 5), np.float32), 3),
        ("Taxi-v3", specs.DiscreteArray(500, np.int32), 6),
        ("Blackjack-v1", specs.BoundedArray((3,), np.int32, 0, 31), 2),
    ],
)
def test_envpool_tasks_have_the_expected_specs(uri, observation, num_actions):
    spec = read_spec(f"envpool:{uri}", {})
    assert (spec.observation, spec.num_actions) == (observation, num_actions)


def test_environment_seeds_count_up_from_the_first():
    (first, second) = load("envpool:CartPole-v1", (5, 77)).reset([0, 1])
    np.testing.assert_array_equal(
        load("envpool:CartPole-v1", (6,)).reset([0])[0], second
    )
    np.testing.assert_array_equal(
        load("envpool:CartPole-v1", (5,)).reset([0])[0], first
    )
    # The largest seed is allowed for several environments.
    batch = load("envpool:CartPole-v1", (2**31 - 1, 0, 0))
    assert batch.reset([0, 1, 2]).shape == (3, 4)


def test_life_loss_option_zeroes_discounts_within_a_game():
    batch = load("envpool:Breakout-v5?zero_discount_on_life_loss=true", (5,))
    batch.reset([0])
    random = np.random.RandomState(0)
    zeros = 0
    while True:
        step = batch.step(random.randint(4, size=1).astype(np.int32))
        zeros += int(step.discount_t[0] == 0)
        if step.last_t[0]:
            break
    assert zeros == 5


@pytest.mark.parametrize("game", ["Pong", "Breakout", "SpaceInvaders"])
def test_atari_frames_match_ale_py(game):
    # Without sticky actions, and with seeds that draw one no-op.
    options = "repeat_action_probability=0.0&noop_max=1"
    pool = load(f"envpool:{game}-v5?{options}")
    ale = load_atari(parse_address(f"atari:{game}?{options}", {}), (0,))
    ours, theirs = ale.reset([0]), pool.reset([0])
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_array_equal(ours[..., 3], theirs[..., 3])
    # ale-py's stack begins with zeros, EnvPool's with four times its first frame.
    assert not ours[..., :3].any()
    np.testing.assert_array_equal(theirs[..., 0], theirs[..., 3])
    random = np.random.RandomState(0)
    returned = 0.0
    for t in range(300):
        action = random.randint(ale.action_spec().num_values, size=1).astype(np.int32)
        step, expected = ale.step(action), pool.step(action)
        if t >= 2:
            np.testing.assert_array_equal(step.observation_t, expected.observation_t)
        assert step.reward_t == expected.reward_t
        assert step.last_t == expected.last_t
        assert step.discount_t == expected.discount_t
        returned += abs(step.reward_t[0])
        if step.last_t:
            break
    assert t > 100
    assert returned > 0 or game == "Breakout"


def test_atari_actions_are_sticky_by_default():
    pool = load("envpool:Pong-v5")._pool
    assert pool.config["repeat_action_probability"] == 0.25
    assert pool.config["use_fire_reset"] is False
    pool = load("envpool:Pong-v5?repeat_action_probability=0")._pool
    assert pool.config["repeat_action_probability"] == 0.0


def test_gym_deprecation_notice_is_hidden():
    code = (
        "from distrl.environments import preload_suite, read_spec\n"
        "preload_suite('envpool:CartPole-v1')\n"
        "print(read_spec('envpool:CartPole-v1', {}).num_actions)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("2", "")
