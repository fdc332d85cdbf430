"""Images of an environment: of its first episode, from whatever renders."""

import dm_env
import gymnasium
import numpy as np
import pytest
from counting_environments import Counting

from distrl.environments.rendering import make_rendered_environment
from distrl.errors import ConfigError

HERE = "environments.test_environments_rendering"


class Drawn(Counting):
    """A dm_env environment whose image says which step it is."""

    def render(self):
        return np.full((4, 6, 3), 10 * self.episode + self.taken, np.uint8)


class Grey(Counting):
    def render(self):
        return np.zeros((4, 6), np.uint8)


class Headless(Counting):
    def render(self):
        raise RuntimeError("no display")


class Framed(gymnasium.Env):
    """A Gymnasium environment that renders if it is asked to when it is made."""

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


def record(environment, steps):
    taken = []
    environment.take = taken.append
    environment.reset()
    for _ in range(steps):
        if environment.step(0).last():
            environment.reset()
    return taken


def test_one_episode_from_its_first_image_to_its_last():
    environment = make_rendered_environment(f"{HERE}:Drawn?length=3", {}, 0)
    images = record(environment, 7)
    # Episode 1 was the trial; episode 2 has a reset and three steps.
    assert [image[0, 0, 0] for image in images] == [20, 21, 22, 23]
    assert environment.frames_a_second == 30
    environment.close()


def test_an_episode_that_was_cut_off_is_not_followed_by_an_image_of_the_next():
    environment = make_rendered_environment(f"{HERE}:Drawn?length=9", {}, 0)
    images = []
    environment.take = images.append
    for call in (environment.reset, lambda: environment.step(0), environment.reset):
        call()
    assert [image[0, 0, 0] for image in images] == [20, 21]
    environment.close()


def test_one_of_gymnasium_is_asked_to_render_and_seeded():
    def look(seed):
        environment = make_rendered_environment(f"{HERE}:Framed", {}, seed)
        assert environment.frames_a_second == 12
        return [int(image[0, 0, 0]) for image in record(environment, 5)]

    assert len(look(3)) == 6
    assert look(3) == look(3) != look(4)


def test_the_last_action_and_reward_can_be_seen_too():
    environment = make_rendered_environment(
        f"{HERE}:Drawn", {}, 0, last_action_reward=True
    )
    assert set(environment.observation_spec()) > {"last_action"}
    assert isinstance(environment, dm_env.Environment)
    assert environment.reset().observation["last_reward"] == 0


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("bsuite:catch/0", "a Catch has no method render()"),
        ("counting_environments:Counting", "a Counting has no method render()"),
        (f"{HERE}:Grey", "render() gives [4, 6] of uint8"),
        (f"{HERE}:Headless", "RuntimeError: no display"),
        (f"{HERE}:make_framed", "render() gives [] of object"),
    ],
)
def test_what_renders_no_images_is_refused(uri, words):
    with pytest.raises(ConfigError) as caught:
        make_rendered_environment(uri, {}, 0)
    assert words in str(caught.value)
    assert "[height, width, 3] uint8" in str(caught.value)


def make_framed():
    """Takes no render_mode, as a factory of one's own may not."""
    return Framed()


def test_what_cannot_be_built_is_said_as_ever():
    with pytest.raises(ConfigError, match="has no argument 'size'"):
        make_rendered_environment(f"{HERE}:Drawn?size=3", {}, 0)
