"""The coordinator's state, on disk for its next incarnation."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distrl.checkpoints.layout import RunProgress, recall_progress
from distrl.seeding import Session

MEMORY_FILE = "coordinator.json"
"""In RUN_DIR/checkpoints, the content of `Memory.to_json`."""
# How many incarnations of a node are kept: a report may arrive late.
_INCARNATIONS = 2
_COUNTED = ("env_steps", "learner_steps", "episodes")


@dataclass
class Memory:
    """The counts and evaluations of a run.

    A node reports totals of its incarnation, so a report that is sent twice counts
    once, and a restarted node adds to its earlier counts. `learner_steps` are those of
    the learner's newest incarnation, since a restarted learner repeats steps.
    """

    session: str
    """`Session.id` of the program's start."""
    progress: RunProgress
    """The evaluations, and the seconds and least counts as of this start."""
    totals: dict[str, float] = field(default_factory=dict)
    """The counts of all nodes."""
    nodes: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """The totals of each node's newest incarnations, newest last."""

    def add(self, node: str, incarnation: str, counts: Mapping[str, float]) -> None:
        """Adds a report, which may be a late one of an incarnation that has ended."""
        incarnations = self.nodes.setdefault(node, {})
        before = incarnations.setdefault(incarnation, {})
        is_newest = incarnation == next(reversed(incarnations))
        for name, total in counts.items():
            if name != "learner_steps":
                added = total - before.get(name, 0)
                self.totals[name] = self.totals.get(name, 0) + added
            elif is_newest:
                self.totals[name] = total
        before.update(counts)
        if len(incarnations) > _INCARNATIONS:
            del incarnations[next(iter(incarnations))]

    def to_progress(self, seconds: float) -> RunProgress:
        """Returns the progress of the run, given how many seconds it has taken."""
        counts = {
            name: int(max(self.totals.get(name, 0), getattr(self.progress, name)))
            for name in _COUNTED
        }
        return dataclasses.replace(self.progress, seconds=round(seconds, 3), **counts)

    def to_json(self, seconds: float) -> str:
        """Returns the content of coordinator.json."""
        progress = vars(self.to_progress(seconds))
        return json.dumps({**vars(self), "progress": progress}) + "\n"


def recall_run(
    run_dir: str | Path | None, session: Session, warn: Callable[[str], object]
) -> Memory:
    """Returns the state from which a starting coordinator continues.

    That is coordinator.json if this session wrote it, with at least the counts and
    seconds of the newest checkpoint, which may be newer; otherwise that checkpoint.
    """
    sessions = session.number + 1
    if run_dir is None:
        return Memory(session.id, RunProgress(sessions=sessions))
    progress = recall_progress(run_dir, sessions, warn)
    counts = {name: getattr(progress, name) for name in _COUNTED}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        written = json.loads(Path(run_dir, "checkpoints", MEMORY_FILE).read_text())
        before = RunProgress(**written.pop("progress"))
        if written["session"] == session.id:
            seconds = max(before.seconds, progress.seconds)
            before = dataclasses.replace(before, seconds=seconds, **counts)
            return Memory(**written, progress=before)
    return Memory(session.id, progress, dict(counts))
