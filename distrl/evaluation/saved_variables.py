"""Loading a run's saved parameters: those of its best evaluation, or the latest."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import haiku as hk
import jax

from distrl.agents.agent import Agent
from distrl.checkpoints.best import find_best
from distrl.checkpoints.layout import Checkpoint, restore_newest
from distrl.checkpoints.trees import restore_tree
from distrl.config import Config, LearnerConfig
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

    Raises:
      ConfigError: nothing was saved yet, or it cannot be loaded, for example because
        the network differs.
    """
    run_dir, found = config.run_dir, None
    assert run_dir is not None
    try:
        if which != "latest":
            found = _read_best(run_dir, agent, warn)
        if found is None and which != "best":
            found = _read_latest(run_dir, config.learner, agent, warn)
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
            f"{run_dir} has no whole {kind}checkpoint yet; wait "
            "for the first evaluation or checkpoint of the run "
            f"(checkpoint.period_seconds), or for its end{latest}"
        )
    return found


def _read_best(
    run_dir: str, agent: Agent, warn: Callable[[str], object]
) -> SavedVariables | None:
    best = find_best(run_dir, warn)
    if best is None:
        return None
    like = jax.eval_shape(agent.init, jax.random.PRNGKey(0))
    try:
        variables = restore_tree(best.variables, like)
    except Exception:
        if best.path.exists():
            raise
        # A better one has replaced it meanwhile.
        return _read_best(run_dir, agent, warn)
    return SavedVariables("best", best.path, best.learner_steps, *variables)


def _read_latest(
    run_dir: str, config: LearnerConfig, agent: Agent, warn: Callable[[str], object]
) -> SavedVariables | None:
    make = functools.partial(init_state, agent, make_optimizer(config))
    like = jax.eval_shape(make, jax.random.PRNGKey(0))

    def restore(checkpoint: Checkpoint | None) -> SavedVariables | None:
        state = None if checkpoint is None else read_state(checkpoint, like)
        if checkpoint is None or state is None:
            return None
        return SavedVariables(
            "latest",
            checkpoint.path,
            checkpoint.progress.learner_steps,
            state.params,
            state.network_state,
        )

    return restore_newest(run_dir, restore, warn, verify=True)
