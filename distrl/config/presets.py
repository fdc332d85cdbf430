"""What the name of an agent says about the rest of a configuration.

An agent is a loss and what goes with it: a head, a kind of replay, an exploration.
The loss is in `distrl.agents`; the rest is here, as values of fields.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """The fields that go with an agent's name.

    Attributes:
      parts: what the name means; a run of that name has exactly these.
      defaults: what its paper or our measurements begin with; to be set otherwise.
      base: the agent without these parts, for variants.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yields all fields by their dotted names."""
        yield from self.defaults.items()
        yield from self.parts.items()


# As in the papers: the noise is in the last two layers, and explores alone.
_EXPLORED_BY_NOISE = {
    "network.head_args": {"hidden_sizes": [64]},
    "actor.exploration.schedule": "fixed",
    "actor.exploration.epsilon": 0.0,
}

PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "dueling_dqn": Preset(parts={"network.head": "dueling"}, base="double_dqn"),
        "prioritized_dqn": Preset(
            parts={"replay.kind": "prioritized"},
            defaults={"replay.transitions_per_item": None},
            base="double_dqn",
        ),
        "noisy_dqn": Preset(
            parts={"network.noisy": True}, defaults=_EXPLORED_BY_NOISE, base="dqn"
        ),
        "rainbow": Preset(
            parts={
                "network.head": "dueling",
                "network.noisy": True,
                "replay.kind": "prioritized",
            },
            defaults={
                **_EXPLORED_BY_NOISE,
                "replay.transitions_per_item": None,
                "replay.priority_exponent": 0.5,
                "actor.n_step": 3,
            },
            base="c51",
        ),
        "apex": Preset(
            parts={"replay.kind": "prioritized", "actor.initial_priorities": True},
            defaults={
                "replay.transitions_per_item": None,
                "network.head": "dueling",
                "actor.exploration.schedule": "apex",
                "actor.n_step": 3,
            },
            base="prioritized_dqn",
        ),
        "r2d2": Preset(
            defaults={
                "network.core": "lstm",
                "network.head": "dueling",
                "replay.kind": "prioritized",
                "replay.transitions_per_item": None,
                "replay.sequence_length": 20,
                "replay.sequence_period": None,
                "learner.batch_size": 64,
                "actor.exploration.schedule": "apex",
                "actor.n_step": 5,
                "loss.value_transform": "signed_hyperbolic",
            },
        ),
    }
)
"""The presets by the names of agents; agents without one need none."""

SEQUENCE_AGENTS = frozenset({"r2d2"})
"""The agents of ours that learn from sequences; the others take transitions."""
