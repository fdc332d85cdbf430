"""What the nodes count, summed over their lives."""

from collections.abc import Mapping
from typing import Any

# A report may come late, from a life that has just ended.
_LIVES = 2
# The learner goes on from a checkpoint and says how far it is in all.
_ABSOLUTE = "learner_steps"


class Counts:
    """Totals by node and life.

    A count is a total of one life, so that a report that is sent twice counts once,
    and a restarted node goes on from where it was. `learner_steps` alone is the
    newest life's: a restarted learner makes steps again that it had made before.
    """

    def __init__(self, base: Mapping[str, float]):
        """Starts from the counts of what came before."""
        self._totals = dict(base)
        # By node, and then by life, the newest last.
        self._lives: dict[str, dict[str, dict[str, float]]] = {}

    def update(self, node: str, life: str, counts: Mapping[str, float]) -> bool:
        """Takes the totals of a node's life; True if the node has a new life."""
        lives = self._lives.setdefault(node, {})
        new = life not in lives
        before = lives.setdefault(life, {})
        for name, total in counts.items():
            added = total - before.get(name, 0)
            self._totals[name] = self._totals.get(name, 0) + added
        before.update(counts)
        if _ABSOLUTE in counts:
            newest = next(t for t in reversed(lives.values()) if _ABSOLUTE in t)
            self._totals[_ABSOLUTE] = newest[_ABSOLUTE]
        while len(lives) > _LIVES:
            del lives[next(iter(lives))]
        return new and len(lives) > 1

    def total(self, name: str) -> int:
        """Returns a count of the whole run, at once however many nodes there are."""
        return int(self._totals.get(name, 0))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return {"totals": self._totals, "lives": self._lives}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Counts":
        """Returns the counts in what `to_dict` gave."""
        counts = cls(data["totals"])
        counts._lives = {node: dict(lives) for node, lives in data["lives"].items()}
        return counts
