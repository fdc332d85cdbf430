"""Loading a run's saved parameters: those of its best evaluation, or the latest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import haiku as hk
import jax

from distrl.agents.agent import Agent
from distrl.checkpoints import Checkpoint, find_best, restore_newest, restore_tree
from distrl.config import Config
from distrl.errors import ConfigError
from distrl.learner.checkpoint import read_state
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import TrainState, init_state

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
    assert config.run_dir is not None
    found = None
    if which != "latest":
        found = _read(config, lambda: _read_best(config, agent, warn))
    if found is None and which != "best":
        found = _read(config, lambda: _read_latest(config, agent, warn))
    if found is None:
        raise ConfigError(_explain_nothing(config.run_dir, which))
    return found


def _read(
    config: Config, read: Callable[[], SavedVariables | None]
) -> SavedVariables | None:
    try:
        return read()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{config.run_dir}: the saved parameters do not fit its config.yaml and "
            f"the installed code: {error}"
        ) from error


def _read_best(
    config: Config, agent: Agent, warn: Callable[[str], object]
) -> SavedVariables | None:
    assert config.run_dir is not None
    like = jax.eval_shape(agent.init, jax.random.PRNGKey(0))
    while True:
        best = find_best(config.run_dir, warn)
        if best is None:
            return None
        try:
            params, network_state = restore_tree(best.variables, like)
        except Exception:
            # A better one may have replaced it meanwhile.
            if best.path.exists():
                raise
            continue
        return SavedVariables(
            "best", best.path, best.learner_steps, params, network_state
        )


def _read_latest(
    config: Config, agent: Agent, warn: Callable[[str], object]
) -> SavedVariables | None:
    assert config.run_dir is not None
    optimizer = make_optimizer(config.learner)

    def make(key: jax.Array) -> TrainState:
        return init_state(agent, optimizer, key)

    like = jax.eval_shape(make, jax.random.PRNGKey(0))

    def restore(checkpoint: Checkpoint | None) -> SavedVariables | None:
        if checkpoint is None:
            return None
        state = read_state(checkpoint, like)
        if state is None:
            return None
        return SavedVariables(
            "latest",
            checkpoint.path,
            checkpoint.progress.learner_steps,
            state.params,
            state.network_state,
        )

    return restore_newest(config.run_dir, restore, warn, verify=True)


def _explain_nothing(run_dir: str, which: Which | None) -> str:
    if which == "best":
        return (
            f"{run_dir} has no whole best checkpoint: no evaluation was saved; wait "
            "for the first, or use the latest: --checkpoint latest"
        )
    return (
        f"{run_dir} has no whole checkpoint yet; wait for the first evaluation or "
        "checkpoint of the run (checkpoint.period_seconds), or for its end"
    )
