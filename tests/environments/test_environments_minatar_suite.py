import numpy as np
import pytest
from dm_env import specs
from minatar import Environment

from distrl.environments import make_environment, read_spec
from distrl.environments.minatar_suite import GAMES


@pytest.mark.parametrize("name", GAMES)
def test_environment_matches_minatar(name):
    # The game draws its sticky actions, so the same seed gives the same ones.
    game = Environment(name, sticky_action_prob=0.1, difficulty_ramping=True)
    game.seed(7)
    environment = make_environment(f"minatar:{name}", {}, seed=7)
    random = np.random.RandomState(0)
    game.reset()
    timestep = environment.reset()
    ends = 0
    for _ in range(500):
        np.testing.assert_array_equal(timestep.observation, 255 * game.state())
        action = random.randint(6)
        reward, is_terminal = game.act(action)
        timestep = environment.step(action)
        assert (timestep.reward, timestep.last()) == (reward, is_terminal)
        assert timestep.discount == (0.0 if is_terminal else 1.0)
        if is_terminal:
            ends += 1
            np.testing.assert_array_equal(timestep.observation, 255 * game.state())
            game.reset()
            timestep = environment.reset()
    assert ends > 5 or name != "breakout"


def test_observations_are_uint8_pixels():
    spec = read_spec("minatar:breakout", {}).observation
    assert spec == specs.BoundedArray((10, 10, 4), np.uint8, 0, 255)
    observation = make_environment("minatar:breakout", {}, seed=0).reset().observation
    assert observation.dtype == np.uint8
    assert set(np.unique(observation)) == {0, 255}
    # Channel 3: three rows of bricks, rows 1 to 3.
    np.testing.assert_array_equal(np.flatnonzero(observation[:, 0, 3]), [1, 2, 3])


def test_minimal_action_set_drops_unused_actions():
    # Breakout's are noop, left and right, of n, l, u, r, d, f.
    environment = make_environment(
        "minatar:breakout?use_minimal_action_set=true&sticky_action_prob=0", {}, seed=0
    )
    assert environment.action_spec().num_values == 3
    environment.reset()
    # The paddle, channel 0 of the last row, begins in column 4.
    columns = [
        int(np.flatnonzero(environment.step(action).observation[9, :, 0])[0])
        for action in (2, 2, 1, 0)
    ]
    assert columns == [5, 6, 5, 5]
