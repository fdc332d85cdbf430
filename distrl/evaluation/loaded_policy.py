"""The policy of a run as a function, without the run and its environment."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tree

from distrl.actor.exploration import make_exploration_schedule, make_explore
from distrl.actor.policy import make_choose, place, reset_where
from distrl.agents import make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.checkpoints.best import Best
from distrl.checkpoints.layout import Checkpoint, read_saved
from distrl.checkpoints.manifest import MANIFEST, RUN_SPEC
from distrl.config import config_from_dict
from distrl.config.load import read_path
from distrl.environments.spec_json import spec_from_json
from distrl.environments.value_checks import make_leaves, show
from distrl.errors import ConfigError
from distrl.evaluation.saved_variables import (
    Which,
    read_variables,
    refuse_misfits,
    restore_which,
)
from distrl.networks.observations import describe
from distrl.seeding import derive_seed
from distrl.system.output import say


def load_policy(path: str | Path, which: Which | None = None) -> "LoadedPolicy":
    """Returns the policy that a run has learned; neither run nor environment is needed.

    Args:
      path: the directory of a run, which may still be running, or one of those in its
        `best/` or `checkpoints/`, which may have been copied elsewhere.
      which: of a run, the `best` parameters or the `latest`; None takes the best, or
        the latest if no evaluation was saved.

    Raises:
      ConfigError: there is none, or it is damaged or does not fit the installed code.
    """
    directory = read_path("path", str(path))
    is_sweep = (directory / "sweep.json").exists()
    if (directory / "config.yaml").exists() and not is_sweep:
        return restore_which(directory, which, LoadedPolicy, say)
    if not (directory / MANIFEST).exists():
        what = f"is the directory of neither a run nor a checkpoint: no {MANIFEST}"
        raise ConfigError(
            f"{path} {what if directory.exists() else 'does not exist'}; name the "
            "directory of a run, for example runs/catch-20260131-120000, or one in its "
            "best/ or checkpoints/"
        )
    if which is not None:
        raise ConfigError(
            f"which = {which!r}: {path} is a single checkpoint; leave it out, or name "
            "the directory of the run"
        )
    with refuse_misfits(directory):
        return LoadedPolicy(read_saved(directory))


class LoadedPolicy:
    """Acts with saved parameters; holds the recurrent state of the running episodes.

    An observation is a nest of arrays as `spec.observation` shows it, or a batch of
    them with a leading `[B]`. It is what the run's environment returns, with stacked
    frames and the action mask, if it has them; its values are checked. With
    `network.last_action_reward` it is a dict of the environment's `observation`;
    `last_action`, `[A] float32`, one-hot; and `last_reward`. The last two are zeros at
    the start of an episode.

    Attributes:
      path: the directory that the parameters are from.
      which: `best` or `latest`.
      learner_steps: the learner step of the parameters.
      spec: what observations and actions are.
      origin: what was saved of the run, as JSON data: `config`, `versions`, `commits`.
    """

    def __init__(self, saved: Best | Checkpoint):
        """Loads what is saved in a directory; compiles nothing yet."""
        self.origin = _read_origin(saved.path)
        self.spec = spec_from_json(self.origin["spec"])
        self._config = config = config_from_dict(self.origin["config"])
        agent = make_agent(config, self.spec)
        variables = read_variables(saved, agent)
        self.path, self.which = variables.path, variables.which
        self.learner_steps = variables.learner_steps
        self._variables = place((variables.params, variables.network_state))
        self._choosers = {
            False: make_choose(agent, epsilon_greedy, "evaluate"),
            True: make_choose(agent, make_explore(config), "act"),
        }
        self._make_carry = agent.initial_carry
        self._leaves = make_leaves(self.spec.observation)
        self._key = place(jax.random.PRNGKey(derive_seed(config.seed, "policy")))
        self._carry: Any = None

    def act(self, observation: Any, explore: bool = False) -> int | np.ndarray:
        """Returns an action: an `int`, or `[B] int32` for a batch.

        It is the best legal one, as in `distrl evaluate` with an epsilon of 0. With
        `explore` it is that of an actor of B environments at the end of its schedule:
        with its epsilon or temperature, and the noise of noisy layers.
        """
        batch, is_single = self._read(observation)
        action, _, self._carry, self._key = self._choose(batch, explore)
        return int(action[0]) if is_single else np.asarray(action)

    def q_values(self, observation: Any) -> np.ndarray:
        """Returns the action values, `[A] float32`, or `[B, A] float32` for a batch.

        Those of illegal actions are -1e30. The episode does not advance.
        """
        batch, is_single = self._read(observation)
        q = np.asarray(self._choose(batch, explore=False)[1])
        return q[0] if is_single else q

    def reset(self, ended: Any = None) -> None:
        """Begins new episodes: all, or where `ended`, `[B] bool`, is True."""
        if ended is None:
            self._carry = None
        elif self._carry is not None:
            ended = np.asarray(ended, bool)
            self._carry = reset_where(self._carry, self._make_carry(len(ended)), ended)

    def _choose(self, batch: Any, explore: bool) -> Any:
        size = len(jax.tree.leaves(batch)[0])
        carry = self._carry
        if carry is None:
            carry = place(self._make_carry(size))
        held = jax.tree.leaves(carry)
        if held and len(held[0]) != size:
            raise ValueError(
                f"the policy remembers {len(held[0])} episodes and was given a batch "
                f"of {size}; call reset() before new episodes"
            )
        exploration = np.zeros(size, np.float32)
        if explore:
            actor = self._config.actor
            alone = dataclasses.replace(actor, count=1, environments=size)
            config = dataclasses.replace(self._config, actor=alone)
            end = actor.exploration.decay_env_steps
            exploration = make_exploration_schedule(config, 0)(end)
        choose = self._choosers[bool(explore)]
        return choose(*self._variables, self._key, batch, carry, exploration)

    def _read(self, observation: Any) -> tuple[Any, bool]:
        """Returns a batch in the dtypes of the spec, and whether it is of only one."""
        arrays, size = [], None
        for leaf in self._leaves:
            array = None
            try:
                array = np.asarray(leaf.read(observation))
                if size is None:
                    is_single = array.ndim == len(leaf.shape)
                    size = 1 if is_single else len(array)
                read = leaf.convert(array[None] if is_single else array, size)
            except (AttributeError, LookupError, TypeError, ValueError):
                read = None
            if read is None:
                given = show(observation) if array is None else describe(array)
                raise ValueError(
                    f"the observation{leaf.place} does not fit: the policy was given "
                    f"{given} and takes {list(leaf.shape)} {leaf.dtype} from "
                    f"{np.min(leaf.low)} to {np.max(leaf.high)}, or a batch, with "
                    "[B, ...] in all arrays"
                )
            arrays.append(read)
        return tree.unflatten_as(self.spec.observation, arrays), is_single


def _read_origin(directory: Path) -> Mapping[str, Any]:
    file, data = directory / RUN_SPEC, {}
    if file.exists():
        data = json.loads(file.read_text())
    if "spec" not in data:
        raise ConfigError(
            f"{file} does not say what the parameters are of; continue the run with "
            "distrl resume, which saves them again"
        )
    return data
