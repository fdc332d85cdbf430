"""Presets: the fields that belong to an agent's name.

An agent is a loss (in `distrl.agents`) together with a head, a kind of replay and an
exploration, which are set here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """The fields that belong to an agent's name.

    Attributes:
      parts: the values that define the agent; a run must have exactly these.
      defaults: values from its paper or our measurements, which a user may change.
      base: the agent without these parts.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""


_PRIORITIZED = {"replay.kind": "prioritized"}
_SINGLE = {"replay.transitions_per_item": None}
_APEX = {"network.head": "dueling", "actor.exploration.schedule": "apex"}
# As in the papers, noise in the last two layers is the only exploration.
_EXPLORED_BY_NOISE = {
    "network.head_args": {"hidden_sizes": [64]},
    "actor.exploration.schedule": "fixed",
    "actor.exploration.epsilon": 0.0,
}

PRESETS: Mapping[str, Preset] = {
    "dueling_dqn": Preset({"network.head": "dueling"}, base="double_dqn"),
    "prioritized_dqn": Preset(_PRIORITIZED, _SINGLE, base="double_dqn"),
    "noisy_dqn": Preset({"network.noisy": True}, _EXPLORED_BY_NOISE, base="dqn"),
    "rainbow": Preset(
        {"network.head": "dueling", "network.noisy": True, **_PRIORITIZED},
        {
            **_EXPLORED_BY_NOISE,
            **_SINGLE,
            "replay.priority_exponent": 0.5,
            "actor.n_step": 3,
        },
        base="c51",
    ),
    "apex": Preset(
        {**_PRIORITIZED, "actor.initial_priorities": True},
        {**_SINGLE, **_APEX, "actor.n_step": 3},
        base="prioritized_dqn",
    ),
    "r2d2": Preset(
        defaults={
            **_PRIORITIZED,
            **_SINGLE,
            **_APEX,
            "network.core": "lstm",
            "replay.sequence_length": 20,
            "replay.sequence_period": None,
            "learner.batch_size": 64,
            "actor.n_step": 5,
            "loss.value_transform": "signed_hyperbolic",
        },
    ),
}
"""The presets by agent name."""

SEQUENCE_AGENTS = frozenset({"r2d2"})
"""The built-in agents that learn from sequences; the others use transitions."""


def preset_values(agent: object) -> dict[str, Any]:
    """Returns the fields that belong to an agent's name; empty without a preset."""
    preset = PRESETS.get(agent, Preset()) if isinstance(agent, str) else Preset()
    return {**preset.defaults, **preset.parts}
