"""The learners that `benchmarks.learner` measures, and items for them."""

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from distrl.config import Config, config_from_dict

_FRAME = (84, 84)
_STACK = 4

CASES: dict[str, dict[str, Any]] = {
    "mlp 64-64": {
        "agent": "double_dqn",
        "network": {"args": {"hidden_sizes": [64, 64]}},
    },
    "conv": {"agent": "double_dqn", "network": {"factory": "conv"}},
    "rainbow catch": {"agent": "rainbow"},
    "r2d2 catch": {"agent": "r2d2"},
    "pong frames": {
        "agent": "dqn",
        "environment": "benchmarks.learner_cases:Frames",
        "network": {"factory": "atari"},
        "replay": {"frame_stack": _STACK},
        "learner": {"batch_size": 32},
    },
}
"""What differs from the default configuration, double DQN on Catch."""


class Frames(dm_env.Environment):
    """The observations and actions of Pong; only its specs are used."""

    def observation_spec(self) -> specs.Array:
        """Returns stacks of four frames."""
        return specs.Array((*_FRAME, _STACK), np.uint8)

    def action_spec(self) -> specs.DiscreteArray:
        """Returns the six actions of Pong."""
        return specs.DiscreteArray(6)

    def reset(self) -> dm_env.TimeStep:
        """Returns a black picture."""
        return dm_env.restart(np.zeros((*_FRAME, _STACK), np.uint8))

    def step(self, action: int) -> dm_env.TimeStep:
        """Returns a black picture."""
        return dm_env.transition(0.0, np.zeros((*_FRAME, _STACK), np.uint8))


def make_config(name: str, publish_period: int = 1_000, **replay: Any) -> Config:
    """Returns the configuration of a case with some fields of `replay`."""
    case = CASES[name]
    return config_from_dict(
        {
            **case,
            "replay": {**case.get("replay", {}), **replay},
            "learner": {**case.get("learner", {}), "publish_period": publish_period},
        }
    )


def make_items(config: Config, spec: Any, size: int, seed: int) -> Any:
    """Returns random items `[size, ...]`; stacks of frames are successive ones."""
    import jax

    from distrl.items import make_item_spec

    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> Any:
        shape = (size, *leaf.shape)
        if np.issubdtype(leaf.dtype, np.floating):
            return rng.random(shape, np.float32).astype(leaf.dtype)
        return rng.integers(0, spec.num_actions, shape).astype(leaf.dtype)

    items = jax.tree.map(draw, make_item_spec(config, spec))
    if config.replay.sequence_length is not None:
        return items._replace(mask=np.ones_like(items.mask))
    if config.replay.frame_stack is None:
        return items
    frames = rng.integers(0, 256, (size + _STACK, *_FRAME)).astype(np.uint8)
    stacks = np.stack([frames[i : i + size + 1] for i in range(_STACK)], axis=-1)
    return items._replace(observation_tm1=stacks[:-1], observation_t=stacks[1:])
