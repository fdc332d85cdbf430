"""What the coordinator knows of a run, kept on disk for its next incarnation."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distrl.checkpoints import RunProgress, make_folder, recall_progress
from distrl.session import Session
from distrl.whole_files import write_whole

_NAME = "coordinator.json"
# A report may arrive late, from an incarnation that has just ended.
_INCARNATIONS = 2
# Not the count of one incarnation: the learner continues from a checkpoint.
_ABSOLUTE = "learner_steps"
_COUNTED = ("env_steps", _ABSOLUTE, "episodes")


class Counts:
    """What the nodes count, summed over nodes and their incarnations.

    A node reports totals of its incarnation, so a report that is sent twice counts
    once, and a restarted node adds to what it counted before. Only `learner_steps` is
    the newest incarnation's: a restarted learner repeats steps.
    """

    def __init__(self, base: Mapping[str, float]):
        """Starts from earlier counts."""
        self._totals = dict(base)
        # By node, then by incarnation, the newest last.
        self._nodes: dict[str, dict[str, dict[str, float]]] = {}

    def update(self, node: str, incarnation: str, counts: Mapping[str, float]) -> None:
        """Takes the totals of a node's incarnation."""
        incarnations = self._nodes.setdefault(node, {})
        before = incarnations.setdefault(incarnation, {})
        for name, total in counts.items():
            added = total - before.get(name, 0)
            self._totals[name] = self._totals.get(name, 0) + added
        before.update(counts)
        if _ABSOLUTE in counts:
            newest = next(
                each for each in reversed(incarnations.values()) if _ABSOLUTE in each
            )
            self._totals[_ABSOLUTE] = newest[_ABSOLUTE]
        while len(incarnations) > _INCARNATIONS:
            del incarnations[next(iter(incarnations))]

    def total(self, name: str) -> int:
        """Returns a count of the whole run; as fast with any number of nodes."""
        return int(self._totals.get(name, 0))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, for JSON."""
        return {"totals": self._totals, "nodes": self._nodes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Counts":
        """Returns the counts that `to_dict` described."""
        counts = cls(data["totals"])
        counts._nodes = {node: dict(each) for node, each in data["nodes"].items()}
        return counts


@dataclass
class Memory:
    """A run so far.

    Attributes:
      session: the start of the program, as `Session.id`.
      progress: its evaluations and sessions, and its seconds when this was loaded.
      counts: of all nodes.
    """

    session: str
    progress: RunProgress
    counts: Counts = field(default_factory=lambda: Counts({}))

    def to_progress(self, seconds: float) -> RunProgress:
        """Returns how far the run is after so many seconds."""
        counts = {name: self.counts.total(name) for name in _COUNTED}
        return dataclasses.replace(self.progress, seconds=round(seconds, 3), **counts)

    def to_json(self, seconds: float) -> str:
        """Returns the memory as of so many seconds of the run."""
        return json.dumps(
            {
                "session": self.session,
                "progress": self.to_progress(seconds).to_dict(),
                "counts": self.counts.to_dict(),
            }
        )


def write_memory(run_dir: str | Path, text: str) -> None:
    """Replaces RUN_DIR/checkpoints/coordinator.json.

    Args:
      run_dir: of the run.
      text: of `Memory.to_json`.

    Raises:
      OSError: the disk is full, for example; the file is as it was.
    """
    write_whole(make_folder(run_dir) / _NAME, text + "\n", durable=False)


def recall_run(
    run_dir: str | Path | None, session: Session, warn: Callable[[str], object]
) -> Memory:
    """Returns where a starting coordinator continues.

    In the session that wrote coordinator.json it continues from that. Another session
    starts from the newest checkpoint, as the learner does.

    Args:
      run_dir: of the run; None keeps nothing.
      session: this start of the program.
      warn: takes a line for each damaged directory, which is skipped.
    """
    sessions = session.number + 1
    if run_dir is None:
        return Memory(session.id, RunProgress(sessions=sessions))
    written = _read(run_dir)
    if written is not None and written.session == session.id:
        return written
    _, progress = recall_progress(run_dir, sessions, warn)
    counts = {name: getattr(progress, name) for name in _COUNTED}
    return Memory(session.id, progress, Counts(counts))


def _read(run_dir: str | Path) -> Memory | None:
    """Returns what was written; None if there is nothing, or it is damaged."""
    try:
        data = json.loads(Path(run_dir, "checkpoints", _NAME).read_text())
        return Memory(
            data["session"],
            RunProgress.from_dict(data["progress"]),
            Counts.from_dict(data["counts"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
