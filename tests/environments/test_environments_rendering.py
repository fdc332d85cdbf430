"""Images of the first episode of an environment."""

import gymnasium
import numpy as np
import pytest
from counting_environments import Counting

from distrl.config import Config, NetworkConfig
from distrl.environments import read_spec
from distrl.environments.rendering import make_rendered_environment
from distrl.errors import ConfigError

HERE = "environments.test_environments_rendering"


class Drawn(Counting):
    """A dm_env environment whose images show the episode and the step."""

    def render(self):
        return np.full((4, 6, 3), 10 * self.episode + self.taken, np.uint8)


class Grey(Counting):
    def render(self):
        return np.zeros((4, 6), np.uint8)


class Headless(Counting):
    def render(self):
        raise RuntimeError("no display")


class Framed(gymnasium.Env):
    """A Gymnasium environment that renders only if built with `rgb_array`."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.value = self.np_random.integers(256)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.value = self.np_random.integers(256)
        return np.zeros(2, np.float32), 0.0, False, False, {}

    def render(self):
        if self.render_mode == "rgb_array":
            return np.full((2, 2, 3), self.value, np.uint8)
        return None


def render(name, args=None, seed=0, **network):
    uri = name if ":" in name else f"{HERE}:{name}"
    config = Config(
        environment=uri,
        environment_args=args or {},
        network=NetworkConfig(**network),
    )
    spec = read_spec(uri, config.environment_args, **network)
    return make_rendered_environment(config, spec, seed)


def record(environment, steps):
    taken = []
    environment.take = taken.append
    environment.reset()
    for _ in range(steps):
        environment.step(np.zeros(1, np.int32))
    environment.close()
    return [int(image[0, 0, 0]) for image in taken]


def test_exactly_one_episode_is_rendered():
    environment = render("Drawn?length=3")
    assert environment.frames_a_second == 30
    # Episode 1 was the trial; episode 2 has a reset and three steps.
    assert record(environment, 7) == [20, 21, 22, 23]


def test_images_end_when_the_episode_is_cut_off():
    environment = render("Drawn?length=9")
    images = []
    environment.take = images.append
    environment.reset()
    environment.step(np.zeros(1, np.int32), limit=1)
    assert [image[0, 0, 0] for image in images] == [20, 21]


def test_gymnasium_environment_is_rendered_and_seeded():
    first, again, other = (render("Framed", seed=seed) for seed in (3, 3, 4))
    assert first.frames_a_second == 12
    images = record(first, 5)
    assert len(images) == 6
    assert images == record(again, 5) != record(other, 5)


def test_rendered_observations_include_the_last_reward():
    environment = render("Drawn", last_action_reward=True)
    assert environment.reset()["last_reward"] == 0


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("bsuite:catch/0", "'Catch' object has no attribute 'render'"),
        ("Grey", "render() gives [4, 6] of uint8"),
        ("Headless", "RuntimeError: no display"),
        ("make_framed", "render() gives [] of object"),
    ],
)
def test_environments_without_images_are_refused(uri, words):
    with pytest.raises(ConfigError) as caught:
        render(uri)
    assert words in str(caught.value)
    assert "[height, width, 3] uint8" in str(caught.value)


def make_framed():
    """A factory that takes no `render_mode`."""
    return Framed()
