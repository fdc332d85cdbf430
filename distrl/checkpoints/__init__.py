"""What a run keeps on disk, so that it can go on after an end or a crash."""

from distrl.checkpoints.layout import (
    Checkpoint,
    begin_part,
    complete_checkpoint,
    discard_partials,
    find_newest_checkpoint,
    list_checkpoints,
    next_number,
)
from distrl.checkpoints.progress import RunProgress
from distrl.checkpoints.trees import preload_orbax, restore_tree, save_tree

__all__ = [
    "Checkpoint",
    "RunProgress",
    "begin_part",
    "complete_checkpoint",
    "discard_partials",
    "find_newest_checkpoint",
    "list_checkpoints",
    "next_number",
    "preload_orbax",
    "restore_tree",
    "save_tree",
]
