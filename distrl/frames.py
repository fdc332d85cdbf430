"""Splits stacked observations into frames, and stacks frames into observations."""

from typing import Any

import numpy as np
from dm_env import specs

from distrl.action_masks import split_mask
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec


def check_frame_stack(stack: int | None, spec: EnvironmentSpec) -> None:
    """Raises ConfigError unless observations are stacks of `stack` frames, if set."""
    observation, _ = split_mask(spec.observation)
    if stack is None:
        return
    if not isinstance(observation, specs.Array):
        raise ConfigError(
            f"replay.frame_stack = {stack}: it is for an observation that is one "
            f"array, and this environment's is a {type(observation).__name__} "
            "(network.last_action_reward makes it one, too); set it to null"
        )
    shape = observation.shape
    if not shape or shape[-1] % stack:
        divisors = [n for n in range(2, (shape or (1,))[-1] + 1) if shape[-1] % n == 0]
        offer = f", for example {divisors[0]}" if divisors else ""
        raise ConfigError(
            f"replay.frame_stack = {stack}: it must divide the last axis of an "
            f"observation, whose shape is {list(shape)}{offer}; or set it to null"
        )


def split_frames(observation: np.ndarray, stack: int) -> np.ndarray:
    """Returns the frames of a batch of observations as a new, contiguous array.

    Args:
      observation: `[M, ..., S * C]`, frame s in the channels s * C to (s + 1) * C.
      stack: S.

    Returns:
      `[M, S, ..., C]`.
    """
    *shape, channels = observation.shape
    apart = np.moveaxis(observation.reshape(*shape, stack, channels // stack), -2, 1)
    frames = np.empty(apart.shape, apart.dtype)
    frames[...] = apart
    return frames


def join_frames(frames: np.ndarray) -> np.ndarray:
    """Reverses `split_frames`; the result is a view if C is 1."""
    apart = np.moveaxis(frames, 1, -2)
    *shape, stack, channels = apart.shape
    return apart.reshape(*shape, stack * channels)


def make_frame_spec(spec: EnvironmentSpec, stack: int) -> Any:
    """Returns the `dm_env.specs.Array` of one frame, `[..., C]`."""
    observation, _ = split_mask(spec.observation)
    *shape, channels = observation.shape
    return specs.Array((*shape, channels // stack), observation.dtype)
