"""Where the nodes of a run are, a row for each group of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Long, and nearly always the program's own.
_UNSHOWN = frozenset({"XLA_FLAGS"})


@dataclass(frozen=True)
class GroupPlacement:
    """Where the nodes of a group are that have the same devices.

    Attributes:
      group: of the program.
      nodes: how many there are.
      hosts: the names of their machines.
      devices: those that JAX shows, if that is known, and what decides them.
      memory_mib: of the smallest of the machines.
    """

    group: str
    nodes: int
    hosts: tuple[str, ...]
    devices: str
    memory_mib: int


def group_placements(nodes: Mapping[str, Mapping[str, Any]]) -> list[GroupPlacement]:
    """Returns the rows for the nodes of program.json, in their order."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for name, facts in nodes.items():
        key = (name.partition("/")[0], _describe_devices(facts))
        groups.setdefault(key, []).append(facts)
    return [
        GroupPlacement(
            group,
            len(members),
            _unique(facts["host"] for facts in members),
            devices,
            min(facts["memory_mib"] for facts in members),
        )
        for (group, devices), members in groups.items()
    ]


def _describe_devices(facts: Mapping[str, Any]) -> str:
    shown = facts["device_variables"].items()
    words = [f"{name}={value}" for name, value in shown if name not in _UNSHOWN]
    seen = facts.get("jax_devices")
    return " ".join(words if seen is None else [seen, *words])


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
