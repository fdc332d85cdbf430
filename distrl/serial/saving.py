"""The checkpoints of the serial back end: all of its state, and how it comes back."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from distrl.checkpoints import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partials,
    find_newest_checkpoint,
    next_number,
    restore_tree,
    save_tree,
)
from distrl.config import Config
from distrl.learner.devices import first_replica
from distrl.learner.health import check_arrays
from distrl.learner.state import set_learner_steps
from distrl.node_log import say
from distrl.serial.learning import place_state
from distrl.serial.state import Counts, SerialState
from distrl.session import read_session

# What replay holds is a part of its own, for it may be left out.
_STATE = "serial/state"
_REPLAY = "serial/replay"


def save_state(config: Config, state: SerialState, progress: RunProgress) -> bool:
    """Makes a checkpoint of the state in `run_dir`, if there is one.

    A failure, for example of a full disk or parameters that are not finite, ends
    nothing: it is printed, and what was half written is removed.

    Args:
      config: the whole configuration.
      state: all of it is saved, one replica of what is learned.
      progress: how far the run is.

    Returns:
      Whether there is a new checkpoint.
    """
    if config.run_dir is None:
        return False
    name = next_number(config.run_dir)
    try:
        tree = _to_tree(state)
        check_arrays("params", tree["train"].params, state.counts.learner_steps)
        save_tree(begin_part(config.run_dir, name, _STATE), tree)
        if config.checkpoint.save_replay:
            save_tree(begin_part(config.run_dir, name, _REPLAY), state.buffer)
        complete_checkpoint(config.run_dir, name, progress, config.checkpoint.keep)
    except Exception as error:
        discard_partials(config.run_dir)
        say(
            f"serial: checkpoint {name} of learner step {progress.learner_steps:,} "
            f"could not be saved, and the run goes on without it: "
            f"{type(error).__name__}: {error}",
        )
        return False
    return True


def restore_state(
    config: Config, blank: SerialState, devices: Sequence[jax.Device]
) -> tuple[SerialState, RunProgress | None]:
    """Returns the state and the progress in the newest whole checkpoint.

    Args:
      config: the whole configuration.
      blank: the state at the start; it is returned where there is no checkpoint.
      devices: those that learn.

    Raises:
      ValueError: the checkpoint is of another network, optimiser or replay.
    """
    checkpoint = None
    if config.run_dir is not None:
        verified = read_session().is_verified
        checkpoint = find_newest_checkpoint(config.run_dir, _say, verified)
    part = None if checkpoint is None else checkpoint.find_part(_STATE)
    if checkpoint is None or part is None:
        return blank, None
    _say(f"going on from {checkpoint.describe()}")
    found = restore_tree(part, _to_tree(blank))
    counts = Counts(*(int(count) for count in found["counts"]))
    buffer = blank.buffer
    replay = checkpoint.find_part(_REPLAY)
    if replay is None:
        counts = counts._replace(inserted=0, sampled=0)
    else:
        buffer = restore_tree(replay, blank.buffer)
    train = set_learner_steps(found["train"], counts.learner_steps, config.learner)
    state = SerialState(train, buffer, found["key"], counts)
    return place_state(state, devices), checkpoint.progress


def _to_tree(state: SerialState) -> dict[str, Any]:
    return {
        "train": first_replica(state.train),
        "key": np.asarray(state.key),
        "counts": np.asarray(state.counts, np.int64),
    }


def _say(line: str) -> None:
    say(f"serial: {line}")
