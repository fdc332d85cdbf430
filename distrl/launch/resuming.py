"""Going on with the run in a directory: from where, and whether at all."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distrl.checkpoints import (
    Checkpoint,
    discard_partials,
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import Config, StopConfig, check_changes, load_run
from distrl.coordinator import find_stop_reason
from distrl.errors import ConfigError
from distrl.launch.run_lock import lock_run_dir, read_holder, unlock_unchanged
from distrl.telemetry.status import Status


@dataclass(frozen=True)
class Resumption:
    """A run that is gone on with.

    Attributes:
      lock: the descriptor that keeps others out of its directory.
      holder: what the lock file held before, for `unlock_unchanged`.
      checkpoint: the one it begins from; None starts from zero.
      status: how far the run is.
    """

    lock: int
    holder: str
    checkpoint: Checkpoint | None
    status: Status

    @property
    def number(self) -> int:
        """How often the run was resumed, this time included; 0 from zero."""
        return 0 if self.checkpoint is None else self.checkpoint.progress.sessions


def begin_resumption(
    config: Config, run_dir: Path, note: Callable[[str], object]
) -> Resumption:
    """Locks a run's directory and finds where to go on; changes and starts nothing.

    All files of the checkpoint are compared with their checksums. Nodes that start
    rely on that.

    Args:
      config: with which to go on.
      run_dir: absolute.
      note: takes a line that must be seen.

    Raises:
      ConfigError: there is no run, it is in use, the configuration does not fit what
        is saved, or a stop condition holds already.
    """
    check_changes(load_run(str(run_dir)), config)
    holder = read_holder(run_dir)
    lock = lock_run_dir(run_dir)
    try:
        warnings: list[str] = []
        part = "serial/state" if config.launch.backend == "serial" else "learner"
        checkpoint = find_newest_checkpoint(run_dir, warnings.append, parts=[part])
        status = Status() if checkpoint is None else read_progress(checkpoint)
        _check_stop(config.stop, status, run_dir)
    except BaseException:
        unlock_unchanged(lock, holder)
        raise
    for warning in warnings:
        note(warning)
    if checkpoint is None:
        note("no whole checkpoint: starting from zero")
    else:
        note(f"resuming from {checkpoint.describe()} (env step {status.env_steps:,})")
    return Resumption(lock, holder, checkpoint, status)


def ready_run(run_dir: Path, checkpoint: Checkpoint | None) -> None:
    """Removes what crashes left behind, and puts aside damaged checkpoints.

    Those are newer than the one to begin from.
    """
    discard_partials(run_dir)
    set_aside_damaged(run_dir, checkpoint)


def read_progress(checkpoint: Checkpoint) -> Status:
    """Returns the status of a run that is as far as a checkpoint."""
    progress = checkpoint.progress
    return Status(
        seconds=progress.seconds,
        env_steps=progress.env_steps,
        learner_steps=progress.learner_steps,
        episodes=progress.episodes,
        evaluation_return=progress.evaluation_return,
        evaluation_step=progress.evaluation_step,
        evaluation_truncated=progress.evaluation_truncated,
        best_return=progress.best_return,
    )


def judge_checkpoints(run_dir: Path, status: Status) -> dict[str, int | None]:
    """Returns what result.json says of the checkpoints of a run that has ended."""
    newest = find_newest_checkpoint(run_dir, lambda _: None, verified=True)
    saved = 0 if newest is None else newest.progress.learner_steps
    return {
        "checkpoint": saved or None,
        "unsaved_learner_steps": max(0, status.learner_steps - saved),
        "failed_saves": status.failed_saves,
    }


def set_aside_damaged(run_dir: Path, newest: Checkpoint | None) -> None:
    """Renames the checkpoints behind `newest`, so that every node takes that one."""
    for path in list_checkpoints(run_dir):
        if newest is not None and path == newest.path:
            return
        aside = path.with_name(f"damaged-{path.name}")
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        path.rename(aside)


def _check_stop(stop: StopConfig, status: Status, run_dir: Path) -> None:
    reason = find_stop_reason(stop, status)
    if reason is None:
        return
    name, limit = reason.split()[0], reason.split()[-1]
    raise ConfigError(
        f"stop.{name} = {limit}: {reason} in {run_dir}, so that run has nothing left "
        f"to do. Raise it, or switch it off with --stop.{name} null."
    )
