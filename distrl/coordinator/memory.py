"""What the coordinator knows of a run, kept on disk so that its next life knows it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints import (
    RunProgress,
    find_best,
    find_newest_checkpoint,
    list_checkpoints,
    make_folder,
)
from distrl.coordinator.counts import Counts
from distrl.session import Session
from distrl.whole_files import write_whole

_NAME = "coordinator.json"
_COUNTED = ("env_steps", "learner_steps", "episodes")


@dataclass
class Memory:
    """A run, as far as it is.

    Attributes:
      session: names the start of the program, as `Session.id` does.
      sessions: how often the run was started.
      seconds: that the run had taken when this was written or begun.
      counts: of all nodes.
      evaluation: of the latest evaluation, learner_steps, mean return and truncated
        episodes.
      best_return: of the best evaluation.
      number: of the newest checkpoint that was begun.
      checkpoint: the learner_steps of the newest whole checkpoint.
      failed_saves: the checkpoints that were given up or could not be saved.
      checkpointed_at: the seconds that the run had taken when the newest whole
        checkpoint was begun; 0 without one.
    """

    session: str
    sessions: int
    seconds: float
    counts: Counts
    evaluation: tuple[int, float, int] | None = None
    best_return: float | None = None
    number: int = 0
    checkpoint: int | None = None
    failed_saves: int = 0
    checkpointed_at: float = 0.0

    def to_progress(self, seconds: float) -> RunProgress:
        """Returns how far the run is after so many seconds."""
        step, evaluation, truncated = self.evaluation or (None, None, None)
        return RunProgress(
            seconds=round(seconds, 3),
            env_steps=self.counts.total("env_steps"),
            learner_steps=self.counts.total("learner_steps"),
            episodes=self.counts.total("episodes"),
            evaluation_return=evaluation,
            evaluation_step=step,
            evaluation_truncated=truncated,
            best_return=self.best_return,
            sessions=self.sessions,
        )

    def to_json(self, seconds: float) -> str:
        """Returns what `from_dict` reads, as of so many seconds of the run."""
        data = {**vars(self), "seconds": seconds, "counts": self.counts.to_dict()}
        return json.dumps(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Memory":
        """Returns the memory in what `to_json` gave, once it is parsed."""
        evaluation = data["evaluation"]
        return cls(
            **{
                **data,
                "counts": Counts.from_dict(data["counts"]),
                "evaluation": None if evaluation is None else tuple(evaluation),
            }
        )


def write_memory(run_dir: str | Path, text: str) -> None:
    """Writes RUN_DIR/checkpoints/coordinator.json, whole or not at all.

    Args:
      run_dir: of the run.
      text: of `Memory.to_json`.

    Raises:
      OSError: the disk is full, for example; what was there stays.
    """
    write_whole(make_folder(run_dir) / _NAME, text + "\n", durable=False)


def recall_run(
    run_dir: str | Path | None, session: Session, warn: Callable[[str], object]
) -> Memory:
    """Returns where a coordinator that starts goes on from.

    In the session in which it was written that is what its last life wrote. In
    another one, which has begun from the newest checkpoint, it is that one's progress.

    Args:
      run_dir: of the run; None keeps nothing.
      session: of this start.
      warn: takes a line for a damaged checkpoint that was passed over.
    """
    sessions = session.number + 1
    if run_dir is None:
        return Memory(session.id, sessions, 0.0, Counts({}))
    written = _read(run_dir)
    if written is not None and written.session == session.id:
        return written
    checkpoint = find_newest_checkpoint(run_dir, warn, session.is_verified)
    progress = RunProgress() if checkpoint is None else checkpoint.progress
    # The best may be newer than the checkpoint.
    returns = [] if progress.best_return is None else [progress.best_return]
    best = find_best(run_dir, warn)
    if best is not None:
        returns.append(best.mean_return)
    return Memory(
        session=session.id,
        sessions=sessions,
        seconds=progress.seconds,
        counts=Counts({name: getattr(progress, name) for name in _COUNTED}),
        evaluation=progress.evaluation,
        best_return=max(returns, default=None),
        number=max((int(path.name) for path in list_checkpoints(run_dir)), default=0),
        checkpoint=None if checkpoint is None else progress.learner_steps,
        checkpointed_at=progress.seconds,
    )


def _read(run_dir: str | Path) -> Memory | None:
    """Returns what was written; None without, or of what a lost disk left of it."""
    try:
        return Memory.from_dict(
            json.loads(Path(run_dir, "checkpoints", _NAME).read_text())
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
