"""Action masks: the part of an observation that says which actions are legal.

A masked observation is a dict with the key `action_mask`, at the top of the nest, so
that replay, frames and sequences treat the mask like any other array.
"""

from collections.abc import Mapping
from typing import Any

ACTION_MASK = "action_mask"
"""The key; in the `info` of Gymnasium environments too."""

_OBSERVATION = "observation"


def split_mask(observation: Any) -> tuple[Any, Any]:
    """Splits a nest of arrays or specs into what the network sees and the mask.

    The mask is `[..., A]`, or None if there is none. What the network sees of
    `{"observation": x, "action_mask": mask}` is x itself.
    """
    if not isinstance(observation, Mapping) or ACTION_MASK not in observation:
        return observation, None
    rest = {key: x for key, x in observation.items() if key != ACTION_MASK}
    if list(rest) == [_OBSERVATION] and not isinstance(rest[_OBSERVATION], dict):
        return rest[_OBSERVATION], observation[ACTION_MASK]
    return rest, observation[ACTION_MASK]


def join_mask(seen: Any, mask: Any) -> Any:
    """Reverses `split_mask`; returns `seen` if there is no mask."""
    if mask is None:
        return seen
    rest = seen if isinstance(seen, dict) else {_OBSERVATION: seen}
    return {**rest, ACTION_MASK: mask}
