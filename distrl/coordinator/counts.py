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
        self._past = dict(base)
        # By node, and then by life, the newest last.
        self._lives: dict[str, dict[str, dict[str, float]]] = {}

    def update(self, node: str, life: str, counts: Mapping[str, float]) -> bool:
        """Takes the totals of a node's life; True if the node has a new life."""
        lives = self._lives.setdefault(node, {})
        new = life not in lives
        lives.setdefault(life, {}).update(counts)
        while len(lives) > _LIVES:
            ended = lives.pop(next(iter(lives)))
            ended.pop(_ABSOLUTE, None)
            for name, total in ended.items():
                self._past[name] = self._past.get(name, 0) + total
        return new and len(lives) > 1

    def total(self, name: str) -> int:
        """Returns a count of the whole run."""
        if name == _ABSOLUTE:
            return self._newest()
        running = [
            totals.get(name, 0)
            for lives in self._lives.values()
            for totals in lives.values()
        ]
        return int(self._past.get(name, 0) + sum(running))

    def _newest(self) -> int:
        """Returns the learner's steps, as its newest life counts them."""
        for lives in self._lives.values():
            for totals in reversed(lives.values()):
                if _ABSOLUTE in totals:
                    return int(totals[_ABSOLUTE])
        return int(self._past.get(_ABSOLUTE, 0))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return {"past": self._past, "lives": self._lives}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Counts":
        """Returns the counts in what `to_dict` gave."""
        counts = cls(data["past"])
        counts._lives = {node: dict(lives) for node, lives in data["lives"].items()}
        return counts
