"""Images of an environment: built to render them, one handed over at each step."""

from collections.abc import Callable, Mapping
from typing import Any

import dm_env
import numpy as np

from distrl.environments.last_action_reward import LastActionReward
from distrl.environments.registry import (
    adapt_environment,
    build_environment,
    close_quietly,
)
from distrl.errors import ConfigError

RENDER_MODE = "rgb_array"
_FRAMES_A_SECOND = 30.0


class Rendered(dm_env.Environment):
    """An environment that hands over an image of each step of its first episode.

    Attributes:
      frames_a_second: at which the images are meant to be shown.
      take: is given `[height, width, 3] uint8`; None takes nothing.
    """

    def __init__(
        self, environment: dm_env.Environment, render: Callable[[], Any], rate: float
    ):
        """Wraps an environment.

        Args:
          environment: the one that is stepped.
          render: returns an image of it.
          rate: the images a second.
        """
        self.frames_a_second = rate
        self.take: Callable[[np.ndarray], object] | None = None
        self._environment = environment
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

    def observation_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.observation_spec()

    def action_spec(self) -> Any:
        """Returns the spec of the wrapped environment."""
        return self._environment.action_spec()

    def close(self) -> None:
        """Closes the wrapped environment."""
        self._environment.close()

    def _show(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        if self.take is not None:
            self.take(self._render())
        return timestep


def make_rendered_environment(
    uri: str, args: Mapping[str, Any], seed: int, *, last_action_reward: bool = False
) -> Rendered:
    """Builds an environment that renders, and tries that once.

    One of Gymnasium is built with the argument `render_mode: rgb_array`; any other
    needs a method `render()`.

    Args:
      uri: as for `make_environment`.
      args: keyword arguments beside those in the URI.
      seed: as for `make_environment`.
      last_action_reward: as for `make_environment`.

    Raises:
      ConfigError: it cannot be built, or renders no images.
    """
    try:
        built = build_environment(uri, {**args, "render_mode": RENDER_MODE}, seed)
    except ConfigError:
        # One that takes no such argument may render all the same.
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
        f"environment {uri!r} renders no images ({why}). A Gymnasium environment does "
        f"that takes render_mode {RENDER_MODE!r}; one of your own needs that argument, "
        "or a method render(), which returns [height, width, 3] uint8."
    )
