"""Resuming the run in a directory: checks whether it can, and finds the checkpoint."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distrl.checkpoints import (
    LEARNER,
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
    """A run that is being resumed.

    Attributes:
      lock: the descriptor that keeps other runs out of its directory.
      holder: what the lock file held before, for `unlock_unchanged`.
      checkpoint: the one it starts from; None starts from zero.
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
    """Locks a run's directory and finds its checkpoint; changes and starts nothing.

    Compares all files of the checkpoint with their checksums, once for all nodes.
    `note` shows a line to the user.

    Raises:
      ConfigError: the run does not exist, is in use, was saved by another version of
        distrl, does not fit the configuration, or has met a stop condition already.
    """
    check_changes(load_run(str(run_dir)), config)
    holder = read_holder(run_dir)
    lock = lock_run_dir(run_dir)
    try:
        warnings: list[str] = []
        checkpoint = find_newest_checkpoint(run_dir, warnings.append, parts=[LEARNER])
        status = Status()
        if checkpoint is not None:
            status = Status(**checkpoint.progress.to_status())
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
    """Removes what crashes left behind, and renames damaged checkpoints.

    Those are newer than the one to start from, so every node finds that one.
    """
    discard_partials(run_dir)
    for path in list_checkpoints(run_dir):
        if checkpoint is not None and path == checkpoint.path:
            return
        aside = path.with_name(f"damaged-{path.name}")
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        path.rename(aside)


def judge_checkpoints(run_dir: Path, status: Status) -> dict[str, int | None]:
    """Returns what result.json says about the checkpoints of a run that has ended."""
    newest = find_newest_checkpoint(run_dir, lambda _: None, verify=False)
    saved = 0 if newest is None else newest.progress.learner_steps
    return {
        "checkpoint": saved or None,
        "unsaved_learner_steps": max(0, status.learner_steps - saved),
        "failed_saves": status.failed_saves,
    }


def _check_stop(stop: StopConfig, status: Status, run_dir: Path) -> None:
    reason = find_stop_reason(stop, status)
    if reason is not None:
        raise ConfigError(
            f"stop.{reason.name} = {reason.limit:g}: {reason} in {run_dir}, so that "
            "run has nothing left to do. Raise it, or switch it off with "
            f"--stop.{reason.name} null."
        )
