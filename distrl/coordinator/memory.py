"""The coordinator's state on disk, from which its next incarnation continues."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distrl.checkpoints import RunProgress, make_folder, recall_progress
from distrl.system.session import Session
from distrl.system.whole_files import write_whole

_NAME = "coordinator.json"
# A report may arrive late, from an incarnation that has just ended.
_INCARNATIONS = 2
# Not a total of one incarnation: the learner continues from a checkpoint.
_ABSOLUTE = "learner_steps"
_COUNTED = ("env_steps", _ABSOLUTE, "episodes")


class Counts:
    """The counts of all nodes, summed over nodes and incarnations.

    A node reports totals of its incarnation, so a report that is sent twice counts
    once, and a restarted node adds to its earlier counts. `learner_steps` is not summed
    but taken from the newest incarnation, since a restarted learner repeats steps.
    """

    def __init__(self, base: Mapping[str, float]):
        """Starts from earlier counts."""
        self._totals = dict(base)
        self._least: Mapping[str, float] = {}
        # By node, then by incarnation, newest last.
        self._nodes: dict[str, dict[str, dict[str, float]]] = {}

    def update(self, node: str, incarnation: str, counts: Mapping[str, float]) -> None:
        """Updates the totals of a node's incarnation."""
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

    def raise_to(self, least: Mapping[str, float]) -> None:
        """Makes `total` return at least these counts, until the nodes report more."""
        self._least = least

    def total(self, name: str) -> int:
        """Returns a count of the whole run, in constant time."""
        return int(max(self._totals.get(name, 0), self._least.get(name, 0)))

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts as JSON data."""
        return {"totals": self._totals, "nodes": self._nodes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Counts":
        """Returns the counts from the data of `to_dict`."""
        counts = cls(data["totals"])
        counts._nodes = {node: dict(each) for node, each in data["nodes"].items()}
        return counts


@dataclass
class Memory:
    """The state of a run that the coordinator keeps.

    Attributes:
      session: `Session.id` of the program's start.
      progress: its `seconds` are those at loading, its counts are not used.
    """

    session: str
    progress: RunProgress
    counts: Counts = field(default_factory=lambda: Counts({}))

    def to_progress(self, seconds: float) -> RunProgress:
        """Returns the progress of the run, given how many seconds it has taken."""
        counts = {name: self.counts.total(name) for name in _COUNTED}
        return dataclasses.replace(self.progress, seconds=round(seconds, 3), **counts)

    def to_json(self, seconds: float) -> str:
        """Returns the content of coordinator.json."""
        return json.dumps(
            {
                "session": self.session,
                "progress": self.to_progress(seconds).to_dict(),
                "counts": self.counts.to_dict(),
            }
        )


def write_memory(run_dir: str | Path, text: str) -> None:
    """Replaces RUN_DIR/checkpoints/coordinator.json; `text` is of `Memory.to_json`."""
    write_whole(make_folder(run_dir) / _NAME, text + "\n", durable=False)


def recall_run(
    run_dir: str | Path | None, session: Session, warn: Callable[[str], object]
) -> Memory:
    """Returns the state from which a starting coordinator continues.

    That is coordinator.json if this session wrote it, with at least the counts and the
    seconds of the newest checkpoint. A new session starts from the
    newest checkpoint, as the learner does; without a `run_dir` it starts from zero.
    """
    sessions = session.number + 1
    if run_dir is None:
        return Memory(session.id, RunProgress(sessions=sessions))
    written = _read(run_dir)
    _, progress = recall_progress(run_dir, sessions, warn)
    counts = {name: getattr(progress, name) for name in _COUNTED}
    if written is not None and written.session == session.id:
        # The learner may have made a checkpoint since.
        written.counts.raise_to(counts)
        seconds = max(written.progress.seconds, progress.seconds)
        written.progress = dataclasses.replace(written.progress, seconds=seconds)
        return written
    return Memory(session.id, progress, Counts(counts))


def _read(run_dir: str | Path) -> Memory | None:
    try:
        data = json.loads(Path(run_dir, "checkpoints", _NAME).read_text())
        return Memory(
            data["session"],
            RunProgress.from_dict(data["progress"]),
            Counts.from_dict(data["counts"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
