"""Checkpoints and best parameters of a run on disk, for resume and evaluation."""

from distrl.checkpoints.best import Best, find_best, save_best
from distrl.checkpoints.layout import (
    LEARNER,
    Checkpoint,
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partial,
    discard_partials,
    find_newest_checkpoint,
    find_scratch,
    list_checkpoints,
    make_folder,
    make_scratch,
    next_number,
    recall_progress,
    restore_newest,
)
from distrl.checkpoints.manifest import return_freed_memory
from distrl.checkpoints.run_spec import (
    Description,
    check_run_spec,
    describe_environment,
    write_run_spec,
)
from distrl.checkpoints.trees import (
    describe_arrays,
    preload_orbax,
    restore_tree,
    save_tree,
)

__all__ = [
    "LEARNER",
    "Best",
    "Checkpoint",
    "Description",
    "RunProgress",
    "begin_part",
    "check_run_spec",
    "complete_checkpoint",
    "describe_arrays",
    "describe_environment",
    "discard_partial",
    "discard_partials",
    "find_best",
    "find_newest_checkpoint",
    "find_scratch",
    "list_checkpoints",
    "make_folder",
    "make_scratch",
    "next_number",
    "preload_orbax",
    "recall_progress",
    "restore_newest",
    "restore_tree",
    "return_freed_memory",
    "save_best",
    "save_tree",
    "write_run_spec",
]
