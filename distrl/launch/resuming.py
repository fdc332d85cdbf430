"""Going on with the run in a directory: from where, and whether at all."""

import os
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
from distrl.launch.run_lock import lock_run_dir
from distrl.telemetry.status import Status


@dataclass(frozen=True)
class Resumption:
    """A run that is gone on with.

    Attributes:
      lock: the descriptor that keeps others out of its directory.
      number: how often it was resumed, this time included; 0 if it starts from zero.
      status: how far it is.
    """

    lock: int
    number: int
    status: Status


def begin_resumption(
    config: Config, run_dir: Path, note: Callable[[str], object]
) -> Resumption:
    """Locks a run's directory and finds where to go on; starts nothing.

    Damaged checkpoints that are newer than the one taken are put out of the way, and
    what crashes left half written is removed.

    Args:
      config: with which to go on.
      run_dir: absolute.
      note: takes a line that must be seen.

    Raises:
      ConfigError: there is no run, it is in use, the configuration does not fit what
        is saved, or a stop condition holds already.
    """
    check_changes(load_run(str(run_dir)), config)
    lock = lock_run_dir(run_dir)
    try:
        warnings: list[str] = []
        checkpoint = find_newest_checkpoint(run_dir, warnings.append)
        status = Status() if checkpoint is None else read_progress(checkpoint)
        _check_stop(config.stop, status, run_dir)
    except BaseException:
        os.close(lock)
        raise
    for warning in warnings:
        note(warning)
    discard_partials(run_dir)
    set_aside_damaged(run_dir, checkpoint)
    if checkpoint is None:
        note("no whole checkpoint: starting from zero")
    else:
        note(f"resuming from {checkpoint.describe()} (env step {status.env_steps:,})")
    return Resumption(
        lock=lock,
        number=0 if checkpoint is None else checkpoint.progress.sessions,
        status=status,
    )


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


def set_aside_damaged(run_dir: Path, newest: Checkpoint | None) -> None:
    """Renames the checkpoints behind `newest`, so that every node takes that one."""
    for path in list_checkpoints(run_dir):
        if newest is not None and path == newest.path:
            return
        aside = path.with_name(f"damaged-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
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
