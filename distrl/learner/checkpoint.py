"""The learner's part of a checkpoint: its whole state, as of one step."""

from pathlib import Path
from typing import Any

from distrl.checkpoints import (
    Checkpoint,
    Description,
    Part,
    describe_arrays,
    describe_environment,
    restore_newest,
    restore_tree,
    save_tree,
)
from distrl.config import LearnerConfig
from distrl.learner.devices import first_replica
from distrl.learner.health import check_arrays
from distrl.learner.state import TrainState, set_learner_steps
from distrl.node_log import say
from distrl.session import read_session
from distrl.types import EnvironmentSpec

PART = "learner"


def restore_state(
    run_dir: str | Path, initial: TrainState, config: LearnerConfig
) -> tuple[TrainState, int]:
    """Returns the state in the newest whole checkpoint, and its SGD steps.

    Without a checkpoint it returns `initial` and 0.

    Args:
      run_dir: of the run.
      initial: the state before the first step, not replicated.
      config: with which the learner goes on.

    Raises:
      ValueError: the state that was saved is of another network, optimiser or agent.
    """

    def restore(checkpoint: Checkpoint | None) -> tuple[TrainState, int]:
        state = None if checkpoint is None else read_state(checkpoint, initial)
        if checkpoint is None or state is None:
            return initial, 0
        say(f"the learner goes on from {checkpoint.describe()}")
        learner_steps = checkpoint.progress.learner_steps
        return set_learner_steps(state, learner_steps, config), learner_steps

    return restore_newest(run_dir, restore, say, read_session().is_verified)


def read_state(checkpoint: Checkpoint, like: TrainState) -> TrainState | None:
    """Returns the learner's state in a checkpoint; None where the learner saved none.

    Args:
      checkpoint: a whole one.
      like: a state of the same structure, shapes and dtypes.

    Raises:
      ValueError: the state that was saved is of another network, optimiser or agent.
    """
    part = checkpoint.find_part(PART)
    return None if part is None else restore_tree(part, like)


def describe_run(spec: EnvironmentSpec, state: TrainState) -> Description:
    """Returns what a resumed run is compared with: see `distrl.checkpoints.run_spec`.

    Args:
      spec: of the environment.
      state: of arrays or of their shapes, not replicated.
    """
    return {
        **describe_environment(spec),
        **describe_network(state.params, state.network_state),
        "optimizer": describe_arrays(state.optimizer_state),
    }


def describe_network(params: Any, network_state: Any) -> Description:
    """Returns the part of `describe_run` that an evaluation depends on, too."""
    nest = {"params": params, "network_state": network_state}
    return {"network": describe_arrays(nest)}


def take_part(state: TrainState, learner_steps: int) -> Part:
    """Returns what to save of a replicated state after so many steps, as it is now.

    It waits for the updates that are under way and copies the state to the host. The
    next update may then be given the state's buffers.
    """
    held = first_replica(state)

    def write(directory: Path) -> None:
        check_arrays("params", held.params, learner_steps)
        save_tree(directory, held)

    return Part(learner_steps, write)
