"""The corridors of the program with custom environments."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from distrl.environments.gymnasium_suite import GymnasiumAdapter

PATH = Path(__file__).parents[2] / "programs" / "custom_environment.py"


@pytest.fixture(scope="module")
def program():
    return SimpleNamespace(**runpy.run_path(str(PATH)))


def make_corridor(program, kind):
    if kind == "dm_env":
        return program.Corridor(length=5)
    return GymnasiumAdapter(program.GymCorridor(length=5), seed=0)


def play(environment, action):
    """Returns the time steps of an episode of one action."""
    steps = [environment.reset()]
    while not steps[-1].last():
        steps.append(environment.step(action))
    return steps


@pytest.mark.parametrize("kind", ["dm_env", "gymnasium"])
def test_right_end_of_corridor_pays(program, kind):
    environment = make_corridor(program, kind)
    for _ in range(10):
        steps = play(environment, 1)
        place = int(np.argmax(steps[0].observation))
        assert 1 <= place <= 3
        assert len(steps) - 1 == 4 - place
        assert sum(step.reward for step in steps[1:]) == 1.0
        assert (steps[-1].reward, steps[-1].discount) == (1.0, 0.0)


@pytest.mark.parametrize("kind", ["dm_env", "gymnasium"])
def test_time_limit_truncates_episode(program, kind):
    steps = play(make_corridor(program, kind), 0)
    assert len(steps) - 1 == 4 * 5
    assert (steps[-1].reward, steps[-1].discount) == (0.0, 1.0)
    np.testing.assert_array_equal(steps[-1].observation, [1, 0, 0, 0, 0])


def test_sign_tells_which_end_pays(program):
    environment = program.Signpost(length=5)
    signs = []
    for episode in range(20):
        steps = play(environment, episode % 2)
        signs.append(int(steps[0].observation["sign"]))
        expected = 1.0 if signs[-1] == episode % 2 else -1.0
        assert (steps[-1].reward, steps[-1].discount) == (expected, 0.0)
    assert set(signs) == {0, 1}
