"""Action masks: the part of an observation that says which actions are legal.

A masked observation is a dict with the key `action_mask`, at the top of the nest. So
replay, frames and sequences treat the mask as they treat any other array.
"""

from collections.abc import Mapping
from typing import Any

ACTION_MASK = "action_mask"
"""The key; in the `info` of Gymnasium environments too."""

_OBSERVATION = "observation"


def split_mask(observation: Any) -> tuple[Any, Any]:
    """Returns what the network sees of an observation, and the mask.

    Without its mask, an observation `{"observation": x}` is x itself.

    Args:
      observation: nest of arrays or specs.

    Returns:
      The rest of the nest, and the mask `[..., A]`, None where there is none.
    """
    if not isinstance(observation, Mapping) or ACTION_MASK not in observation:
        return observation, None
    rest = {key: x for key, x in observation.items() if key != ACTION_MASK}
    if list(rest) == [_OBSERVATION] and not isinstance(rest[_OBSERVATION], dict):
        return rest[_OBSERVATION], observation[ACTION_MASK]
    return rest, observation[ACTION_MASK]


def join_mask(seen: Any, mask: Any) -> Any:
    """Returns the observation that `split_mask` takes apart; without a mask `seen`."""
    if mask is None:
        return seen
    rest = seen if isinstance(seen, dict) else {_OBSERVATION: seen}
    return {**rest, ACTION_MASK: mask}
