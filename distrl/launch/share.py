"""The part of a program that one machine runs, as plain data."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Share:
    """Which nodes are run here, and where all the others are.

    Attributes:
      restarts: the nodes of this machine, with how often each was started before.
      addresses: all of each node of the program; a node that is not in it is called
        on this machine alone.
      environments: variables of single nodes of this machine.
    """

    restarts: dict[str, int]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of_all(cls, names: Iterable[str]) -> "Share":
        """Returns a whole program, that is on no other machine."""
        return cls(dict.fromkeys(names, 0))
