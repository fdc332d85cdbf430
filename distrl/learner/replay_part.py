"""Replay on the devices, as a part of a checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax

from distrl.checkpoints.layout import Checkpoint
from distrl.checkpoints.trees import restore_tree, save_tree
from distrl.learner.devices import put_slices
from distrl.learner.dispatch import LearningState
from distrl.system.output import write_json

REPLAY = "replay/devices"
"""The part of a checkpoint that holds it."""

_RING, _COUNTS = "ring", "counts.json"


def save_replay(directory: Path, state: LearningState) -> None:
    """Writes replay and its counts into a new directory."""
    directory.mkdir()
    save_tree(directory / _RING, state.buffer)
    counts = {"inserted": state.inserted, "sampled": state.sampled}
    write_json(directory / _COUNTS, counts)


def restore_replay(
    checkpoint: Checkpoint, blank: LearningState, devices: Sequence[jax.Device]
) -> LearningState:
    """Returns `blank` with replay and its counts in a checkpoint, if it has them."""
    part = checkpoint.find_part(REPLAY)
    if part is None:
        return blank
    buffer = put_slices(restore_tree(part / _RING, blank.buffer), devices)
    counts = json.loads((part / _COUNTS).read_text())
    return blank._replace(buffer=buffer, **counts)
