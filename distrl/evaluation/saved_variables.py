"""Loading a run's saved parameters: those of its best evaluation, or the latest."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import haiku as hk
import jax

from distrl.agents.agent import Agent
from distrl.checkpoints.best import Best, find_best
from distrl.checkpoints.layout import (
    Checkpoint,
    find_newest_checkpoint,
    restore_saved,
)
from distrl.checkpoints.trees import restore_tree
from distrl.config import Config
from distrl.errors import ConfigError
from distrl.learner.checkpoint import read_state
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state

Which = Literal["best", "latest"]


@dataclass(frozen=True)
class SavedVariables:
    """Params and network state from the checkpoint in the directory `path`."""

    which: Which
    path: Path
    learner_steps: int
    params: hk.Params
    network_state: hk.State


def load_variables(
    config: Config, agent: Agent, which: Which | None, warn: Callable[[str], object]
) -> SavedVariables:
    """Loads the saved parameters of a run, which may still be running.

    If `which` is None, these are the best, or the latest if no evaluation was saved.
    Raises ConfigError if nothing was saved yet or it does not fit.
    """
    run_dir, found = config.run_dir, None
    assert run_dir is not None
    make = functools.partial(init_state, agent, make_optimizer(config.learner))
    like = jax.eval_shape(make, jax.random.PRNGKey(0))

    def read_best(best: Best | None) -> SavedVariables | None:
        if best is None:
            return None
        variables = restore_tree(best.variables, (like.params, like.network_state))
        return SavedVariables("best", best.path, best.learner_steps, *variables)

    def read_latest(checkpoint: Checkpoint | None) -> SavedVariables | None:
        if checkpoint is None:
            return None
        steps, state = checkpoint.progress.learner_steps, read_state(checkpoint, like)
        variables = state.params, state.network_state
        return SavedVariables("latest", checkpoint.path, steps, *variables)

    try:
        if which != "latest":
            found = restore_saved(lambda: find_best(run_dir, warn), read_best)
        if found is None and which != "best":
            found = restore_saved(
                lambda: find_newest_checkpoint(run_dir, warn, verify=True), read_latest
            )
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{run_dir}: the saved parameters do not fit its config.yaml and the "
            f"installed code: {error}"
        ) from error
    if found is None:
        kind, latest = "", ""
        if which == "best":
            kind, latest = "best ", ", or use --checkpoint latest"
        raise ConfigError(
            f"{run_dir} has no whole {kind}checkpoint yet; wait for its first "
            "evaluation or checkpoint (checkpoint.period_seconds), or for its end"
            f"{latest}"
        )
    return found
