"""The learner's part of a checkpoint: its whole state, as of one step."""

from pathlib import Path

import jax
import numpy as np

from distrl.checkpoints import Checkpoint, Part, restore_newest, restore_tree, save_tree
from distrl.learner.state import TrainState, first_replica

PART = "learner"


def restore_state(run_dir: str | Path, initial: TrainState) -> TrainState:
    """Returns the state in the newest whole checkpoint; `initial` without one.

    Args:
      run_dir: of the run.
      initial: the state before the first step, not replicated.

    Raises:
      ValueError: the state that was saved is of another network, optimiser or agent.
    """

    def restore(checkpoint: Checkpoint | None) -> TrainState:
        part = None if checkpoint is None else checkpoint.find_part(PART)
        if checkpoint is None or part is None:
            return initial
        state = restore_tree(part, initial)
        print(f"the learner goes on from {checkpoint.describe()}", flush=True)
        return state

    return restore_newest(run_dir, restore, print)


def take_part(state: TrainState) -> Part:
    """Returns what to save of a replicated state, as it is now.

    It waits for the updates that are under way and copies the state to the host. The
    next update may then be given the state's buffers.
    """
    held = first_replica(state)

    def write(directory: Path) -> None:
        check_finite(held)
        save_tree(directory, held)

    return Part(int(held.learner_steps), write)


def check_finite(state: TrainState) -> None:
    """Refuses a state with which nobody could go on.

    Raises:
      FloatingPointError: a parameter is NaN or infinite.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.params)
    for path, leaf in leaves:
        # Whole numbers are finite; what is no number of numpy's is looked at as one.
        if np.issubdtype(leaf.dtype, np.integer) or leaf.dtype == bool:
            continue
        if not np.all(np.isfinite(np.asarray(leaf, np.float32))):
            name = "/".join(str(getattr(key, "key", key)) for key in path)
            raise FloatingPointError(
                f"the parameter {name} is not finite at learner step "
                f"{int(state.learner_steps)}"
            )
