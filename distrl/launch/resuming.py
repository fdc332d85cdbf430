"""Resuming the run in a directory: checks whether it can, and finds the checkpoint."""

import shutil
from collections.abc import Callable
from pathlib import Path

from distrl.checkpoints.layout import (
    Checkpoint,
    discard_partials,
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import Config, check_changes, load_run
from distrl.coordinator import find_stop_reason
from distrl.errors import ConfigError
from distrl.launch.run_directory import RunDirectory, lock_run_dir
from distrl.telemetry.status import Status


def begin_resumption(
    config: Config, directory: RunDirectory, note: Callable[[str], object]
) -> Checkpoint | None:
    """Locks a run's directory and returns the checkpoint to start from, if any.

    Compares all files of the checkpoint with their checksums, once for all nodes;
    changes and starts nothing. `note` shows a line to the user.

    Raises:
      ConfigError: the run does not exist, is in use, was saved by another version of
        distrl, does not fit the configuration, or has met a stop condition already.
    """
    path = directory.path
    check_changes(load_run(str(path)), config)
    directory.lock = lock_run_dir(path)
    checkpoint = find_newest_checkpoint(path, note, verify=True)
    if checkpoint is None:
        note("no whole checkpoint: starting from zero")
        return None
    status = Status(**vars(checkpoint.progress))
    reason = find_stop_reason(config.stop, status)
    if reason is not None:
        raise ConfigError(
            f"stop.{reason.name} = {reason.limit:g}: {reason} in {path}, so that run "
            "has nothing left to do. Raise it, or switch it off with "
            f"--stop.{reason.name} null."
        )
    note(f"resuming from {checkpoint.describe()} (env step {status.env_steps:,})")
    return checkpoint


def discard_leftovers(run_dir: Path, checkpoint: Checkpoint | None) -> None:
    """Removes what crashes left behind, and renames damaged checkpoints.

    Those are newer than the one to start from, so every node finds that one.
    """
    discard_partials(run_dir)
    for path in list_checkpoints(run_dir):
        if checkpoint is not None and path == checkpoint.path:
            return
        aside = path.with_name(f"damaged-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)


def judge_checkpoints(run_dir: Path, status: Status) -> dict[str, int | None]:
    """Returns what result.json says about the checkpoints of a run that has ended."""
    newest = find_newest_checkpoint(run_dir, lambda _: None)
    saved = 0 if newest is None else newest.progress.learner_steps
    return {
        "checkpoint": saved or None,
        "unsaved_learner_steps": max(0, status.learner_steps - saved),
        "failed_saves": status.failed_saves,
    }
