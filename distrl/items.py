"""The items in replay: the specs and parts of transitions, sequences and frames."""

import math
from typing import Any

import numpy as np
import tree
from dm_env import specs

from distrl.action_masks import ACTION_MASK, split_mask
from distrl.config.schema import Config
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec, StepSequence, Transition


def make_item_spec(config: Config, spec: EnvironmentSpec) -> Any:
    """Returns the specs of a transition, or of a sequence if its length is set."""
    length = config.replay.sequence_length
    observation = tree.map_structure(
        lambda leaf: specs.Array(leaf.shape, leaf.dtype), spec.observation
    )
    if length is None:
        return Transition(
            observation_tm1=observation,
            action_tm1=specs.Array((), np.int32),
            reward_t=specs.Array((), np.float32),
            discount_t=specs.Array((), np.float32),
            observation_t=observation,
        )
    floats = specs.Array((length,), np.float32)
    return StepSequence(
        observation=stack_specs(observation, length + 1),
        action=specs.Array((length,), np.int32),
        reward=floats,
        discount=floats,
        mask=floats,
        carry=tuple(specs.Array((n,), np.float32) for n in config.network.carry_sizes),
    )


def make_stored_spec(config: Config, spec: EnvironmentSpec) -> Any:
    """Returns the specs of what an actor writes for an item.

    That is the item; where the learner draws by priority, the item and its priority.
    """
    item = make_item_spec(config, spec)
    return (item, specs.Array((), np.float32)) if has_priority(config) else item


def has_priority(config: Config) -> bool:
    """Returns whether what an actor writes for an item includes its priority."""
    return config.replay.sampled_on != "server" and config.replay.kind == "prioritized"


def count_bytes(nest: Any) -> int:
    """Returns the bytes of a nest of specs."""
    leaves = tree.flatten(nest)
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in leaves)


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


def make_frame_spec(spec: EnvironmentSpec, stack: int) -> specs.Array:
    """Returns the spec of one frame, `[..., C]`, of observations `[..., stack * C]`."""
    observation, _ = split_mask(spec.observation)
    *shape, channels = observation.shape
    return specs.Array((*shape, channels // stack), observation.dtype)


def sort_leaves(item: Any) -> tuple[list[int], list[int]]:
    """Returns which leaves of an item, in flat order, are observations, and the others.

    Action masks are among the others, at the end, all of 32 bits or 8 each.
    """
    paths = [path for path, _ in tree.flatten_with_path(item)]
    masks = [i for i, path in enumerate(paths) if path[-1] == ACTION_MASK]
    observed = [i for i, path in enumerate(paths) if path[0].startswith("observation")]
    rest = set(range(len(paths))) - set(observed)
    return [i for i in observed if i not in masks], [*sorted(rest), *masks]


def stack_specs(nest: Any, count: int) -> Any:
    """Returns a nest of specs with a leading axis of `count`."""
    return tree.map_structure(
        lambda leaf: specs.Array((count, *leaf.shape), leaf.dtype), nest
    )


def fill_priorities(
    priorities: np.ndarray | None, count: int, epsilon: float
) -> np.ndarray:
    """Returns the priorities of `count` new items, `[count] float64`.

    Args:
      priorities: `[count]`, at least 0, from the actor; None gives each item that of a
        TD error of 1 until the learner samples it.
      epsilon: `replay.priority_epsilon`, added to those from the actor.
    """
    if priorities is None:
        return np.ones(count)
    return np.asarray(priorities, np.float64) + epsilon


def make_zeros(nest: Any, count: int) -> Any:
    """Returns a nest of zeros `[count, ...]` with the shapes and dtypes of specs."""
    return tree.map_structure(
        lambda leaf: np.zeros((count, *leaf.shape), leaf.dtype), nest
    )
