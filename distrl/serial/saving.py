"""Checkpoints of the serial backend, which hold all of its state.

RUN_DIR/checkpoints/000007/learner/             as of every backend
                           serial/counts.json   `Counts`
                           serial/replay/       the buffer; may be left out
"""

import json
from collections.abc import Sequence

import jax

from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partials,
    find_newest_checkpoint,
    next_number,
)
from distrl.checkpoints.trees import restore_tree, save_tree
from distrl.config import Config
from distrl.learner.checkpoint import read_state, save_train_state
from distrl.learner.devices import first_replica
from distrl.serial.learning import Counts, SerialState, place_state
from distrl.system.output import say, write_json

_COUNTS = "serial/counts.json"
_REPLAY = "serial/replay"


def save_state(config: Config, state: SerialState, progress: RunProgress) -> bool:
    """Makes a checkpoint; returns whether it did.

    A failure, for example a full disk or parameters that are not finite, is logged and
    does not end the run; the partial checkpoint is removed.
    """
    run_dir = config.run_dir
    assert run_dir is not None
    name = f"{next_number(run_dir):06d}"
    try:
        train = first_replica(state.train)
        save_train_state(run_dir, name, train, progress.learner_steps)
        write_json(begin_part(run_dir, name, _COUNTS), state.counts._asdict())
        if config.checkpoint.save_replay:
            save_tree(begin_part(run_dir, name, _REPLAY), state.buffer)
        complete_checkpoint(run_dir, name, progress, config.checkpoint.keep)
    except Exception as error:
        discard_partials(run_dir)
        say(
            f"serial: checkpoint {name} of learner step {progress.learner_steps:,} "
            f"was given up: {type(error).__name__}: {error}"
        )
        return False
    return True


def restore_state(
    config: Config, blank: SerialState, devices: Sequence[jax.Device]
) -> SerialState:
    """Returns the state in the newest checkpoint, or `blank` if there is none.

    Raises:
      ValueError: the checkpoint is of another network, optimizer or replay.
    """
    assert config.run_dir is not None
    checkpoint = find_newest_checkpoint(config.run_dir, say)
    if checkpoint is None:
        return blank
    say(f"serial: continuing from {checkpoint.describe()}")
    train = read_state(checkpoint, first_replica(blank.train))
    counts = Counts(**json.loads((checkpoint.path / _COUNTS).read_text()))
    replay, buffer = checkpoint.find_part(_REPLAY), blank.buffer
    if replay is None:
        counts = counts._replace(inserted=0, sampled=0)
    else:
        buffer = restore_tree(replay, buffer)
    # The key is derived from the seed, which a resumed run shares.
    state = SerialState(train, buffer, blank.key, counts)
    return place_state(state, devices)
