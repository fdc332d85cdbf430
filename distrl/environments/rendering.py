"""Environments that render an image for each step."""

from collections.abc import Callable, Mapping
from typing import Any

import dm_env
import numpy as np

from distrl.environments.making import (
    adapt_environment,
    build_environment,
    close_quietly,
)
from distrl.environments.wrappers import LastActionReward, Wrapper
from distrl.errors import ConfigError

RENDER_MODE = "rgb_array"
_FRAMES_A_SECOND = 30.0


class Rendered(Wrapper):
    """Passes on an image of each step of the first episode.

    Attributes:
      frames_a_second: the rate at which the images are meant to be shown.
      take: called with `[height, width, 3] uint8`; None drops the images.
    """

    def __init__(
        self, environment: dm_env.Environment, render: Callable[[], Any], rate: float
    ):
        """Wraps `environment`; `render` returns an image, `rate` is images a second."""
        super().__init__(environment)
        self.frames_a_second = rate
        self.take: Callable[[np.ndarray], object] | None = None
        self._render = render
        self._has_begun = False

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        if self._has_begun:
            self.take = None
        self._has_begun = True
        return self._show(self._environment.reset())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes an action."""
        return self._show(self._environment.step(action))

    def _show(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        if self.take is not None:
            self.take(self._render())
        return timestep


def make_rendered_environment(
    uri: str, args: Mapping[str, Any], seed: int, *, last_action_reward: bool = False
) -> Rendered:
    """Builds an environment that renders, and renders one image to check.

    Takes the arguments of `make_environment`. A Gymnasium environment is built with
    `render_mode: rgb_array`; any other needs a method `render()`. Raises ConfigError if
    it cannot be built or does not render images.
    """
    try:
        built = build_environment(uri, {**args, "render_mode": RENDER_MODE}, seed)
    except ConfigError:
        # It may render without that argument.
        built = build_environment(uri, args, seed)
    try:
        render = getattr(built, "render", None)
        if not callable(render):
            raise _refuse(uri, f"a {type(built).__name__} has no method render()")
        environment = adapt_environment(built, uri, seed)
        if last_action_reward:
            environment = LastActionReward(environment, uri)
        _try_out(built, render, uri)
    except BaseException:
        close_quietly(built)
        raise
    metadata = getattr(built, "metadata", None) or {}
    rate = float(metadata.get("render_fps") or _FRAMES_A_SECOND)
    return Rendered(environment, render, rate)


def _try_out(built: Any, render: Callable[[], Any], uri: str) -> None:
    try:
        built.reset()
        image = np.asarray(render())
    except Exception as error:
        raise _refuse(uri, f"{type(error).__name__}: {error}") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise _refuse(uri, f"render() gives {list(image.shape)} of {image.dtype}")


def _refuse(uri: str, why: str) -> ConfigError:
    return ConfigError(
        f"environment {uri!r} renders no images ({why}). It needs an argument "
        f"render_mode that may be {RENDER_MODE!r}, as in Gymnasium, or at least a "
        "method render(), which returns [height, width, 3] uint8."
    )
