"""An environment that renders an image for each step."""

from collections.abc import Callable
from typing import Any

import dm_env
import numpy as np

from distrl.config import Config
from distrl.environments.making import (
    adapt_environment,
    build_environment,
    close_quietly,
)
from distrl.environments.vector import BatchStep, SyncEnvironment
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec

RENDER_MODE = "rgb_array"
_FRAMES_A_SECOND = 30.0


class RenderedEnvironment(SyncEnvironment):
    """One environment, which passes on an image of each step of its first episode.

    Attributes:
      frames_a_second: the rate at which the images are meant to be shown.
      take: called with `[height, width, 3] uint8`; None drops the images.
    """

    def __init__(
        self,
        environment: dm_env.Environment,
        spec: EnvironmentSpec,
        last_action_reward: bool,
        built: Any,
    ):
        """Takes the environment and what it adapts, which has a method `render`."""
        super().__init__([environment], spec, last_action_reward)
        metadata = getattr(built, "metadata", None) or {}
        self.frames_a_second = float(metadata.get("render_fps") or _FRAMES_A_SECOND)
        self.take: Callable[[np.ndarray], object] | None = None
        self._render = built.render
        self._has_begun = False

    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        leaves = super()._reset_some(indices)
        if self._has_begun:
            self.take = None
        self._has_begun = True
        self._show()
        return leaves

    def _step_all(self, action: np.ndarray, due: list[int]) -> BatchStep:
        step = super()._step_all(action, due)
        self._show()
        return step

    def _show(self) -> None:
        if self.take is not None:
            self.take(self._render())


def make_rendered_environment(
    config: Config, spec: EnvironmentSpec, seed: int
) -> RenderedEnvironment:
    """Builds a run's environment so that it renders, and renders one image to check.

    A Gymnasium environment is built with `render_mode: rgb_array`; any other needs a
    method `render()`. Raises ConfigError if it cannot be built or renders no images.
    """
    uri, args = config.environment, config.environment_args
    try:
        built = build_environment(uri, {**args, "render_mode": RENDER_MODE}, seed)
    except ConfigError:
        # It may render without that argument.
        built = build_environment(uri, args, seed)
    try:
        _try_out(built, uri)
        environment = adapt_environment(built, uri, seed)
        extends = config.network.last_action_reward
        return RenderedEnvironment(environment, spec, extends, built)
    except BaseException:
        close_quietly(built)
        raise


def _try_out(built: Any, uri: str) -> None:
    try:
        built.reset()
        image = np.asarray(built.render())
        why = f"render() gives {list(image.shape)} of {image.dtype}"
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3:
            return
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"environment {uri!r} renders no images ({why}). It needs an argument "
        f"render_mode that may be {RENDER_MODE!r}, as in Gymnasium, or at least a "
        "method render(), which returns [height, width, 3] uint8."
    )
