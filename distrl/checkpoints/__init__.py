"""What a run keeps on disk, so that it can go on after an end or a crash."""

from distrl.checkpoints.best import Best, find_best, save_best
from distrl.checkpoints.layout import (
    LAST,
    Checkpoint,
    begin_part,
    complete_checkpoint,
    discard_partial,
    discard_partials,
    find_newest_checkpoint,
    list_checkpoints,
    make_folder,
    make_scratch,
    next_number,
    restore_newest,
)
from distrl.checkpoints.progress import RunProgress
from distrl.checkpoints.run_spec import (
    Description,
    check_run_spec,
    describe_environment,
    write_run_spec,
)
from distrl.checkpoints.saving import Part, PartSaver, SaveReports
from distrl.checkpoints.trees import (
    describe_arrays,
    preload_orbax,
    restore_tree,
    save_tree,
)

__all__ = [
    "LAST",
    "Best",
    "Checkpoint",
    "Description",
    "Part",
    "PartSaver",
    "RunProgress",
    "SaveReports",
    "begin_part",
    "check_run_spec",
    "complete_checkpoint",
    "describe_arrays",
    "describe_environment",
    "discard_partial",
    "discard_partials",
    "find_best",
    "find_newest_checkpoint",
    "list_checkpoints",
    "make_folder",
    "make_scratch",
    "next_number",
    "preload_orbax",
    "restore_newest",
    "restore_tree",
    "save_best",
    "save_tree",
    "write_run_spec",
]
