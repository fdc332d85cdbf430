"""Loading a run's saved parameters: those of its best evaluation, or the latest."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import haiku as hk
import jax

from distrl.agents.agent import Agent
from distrl.checkpoints.arrays import POLICY, load_arrays
from distrl.checkpoints.best import Best, find_best
from distrl.checkpoints.layout import (
    Checkpoint,
    find_newest_checkpoint,
    restore_saved,
)
from distrl.config import Config
from distrl.errors import ConfigError

Which = Literal["best", "latest"]
_Restored = TypeVar("_Restored")


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
    assert config.run_dir is not None
    return restore_which(
        config.run_dir, which, lambda saved: read_variables(saved, agent), warn
    )


def restore_which(
    run_dir: str | Path,
    which: Which | None,
    restore: Callable[[Best | Checkpoint], _Restored],
    warn: Callable[[str], object],
) -> _Restored:
    """Returns `restore(saved)` of what `which` names, as in `load_variables`."""
    if which not in (None, *get_args(Which)):
        raise ConfigError(
            f"which = {which!r}: use 'best', 'latest', or None for the best if there "
            "is one, otherwise the latest"
        )

    def restore_any(saved: Best | Checkpoint | None) -> _Restored | None:
        return None if saved is None else restore(saved)

    def find_latest() -> Checkpoint | None:
        return find_newest_checkpoint(run_dir, warn, verify=True)

    found = None
    with refuse_misfits(run_dir):
        if which != "latest":
            found = restore_saved(lambda: find_best(run_dir, warn), restore_any)
        if found is None and which != "best":
            found = restore_saved(find_latest, restore_any)
    if found is None:
        kind, latest = "", ""
        if which == "best":
            kind, latest = "best ", ", or use --checkpoint latest (which='latest')"
        raise ConfigError(
            f"{run_dir} has no whole {kind}checkpoint yet; wait for its first "
            "evaluation or checkpoint (checkpoint.period_seconds), or for its end"
            f"{latest}"
        )
    return found


@contextlib.contextmanager
def refuse_misfits(path: str | Path) -> Iterator[None]:
    """Turns any error of reading what was saved in `path` into a ConfigError."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{path}: what was saved is damaged, or does not fit its config.yaml and "
            f"the installed code: {error}"
        ) from error


def read_variables(saved: Best | Checkpoint, agent: Agent) -> SavedVariables:
    """Returns the parameters that were saved of an agent.

    Raises ValueError unless they are those of its network.
    """
    like = jax.eval_shape(agent.init, jax.random.PRNGKey(0))
    variables = load_arrays(saved.path / POLICY, like)
    if isinstance(saved, Best):
        return SavedVariables("best", saved.path, saved.learner_steps, *variables)
    steps = saved.progress.learner_steps
    return SavedVariables("latest", saved.path, steps, *variables)
