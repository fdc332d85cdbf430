"""From a URI to an environment: who builds it, and what is accepted."""

import functools
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import dm_env
import numpy as np

from distrl.action_masks import split_mask
from distrl.config import Config
from distrl.environments.actions import ShiftedActions, count_actions
from distrl.environments.address import Address, parse_address
from distrl.environments.batch import Batch, BatchEnvironment, OneOfBatch
from distrl.environments.factory import build_by_factory
from distrl.environments.last_action_reward import (
    LastActionReward,
    LastActionRewardBatch,
)
from distrl.environments.processes import ProcessEnvironment
from distrl.environments.spec import make_spec
from distrl.environments.vector import VectorEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

ENTRY_POINTS = "distrl.environments"
"""The entry-point group in which a package registers a scheme.

The entry point's name is the scheme; it is called as `load(rest, args, seed)` and
returns a dm_env or Gymnasium environment.
"""

SCHEMES = ("atari", "bsuite", "envpool", "gym", "minatar")
"""Our own schemes; a plugin cannot replace one."""

BSUITE_LOGS = "bsuite"
"""The folder of a run directory with a log of bsuite's for each environment."""

_METHODS = ("reset", "step", "observation_spec", "action_spec")


def make_environment(
    uri: str,
    args: Mapping[str, Any],
    seed: int,
    *,
    last_action_reward: bool = False,
    bsuite_log: Path | None = None,
) -> dm_env.Environment:
    """Builds one environment with a single discrete action, 0 to n - 1.

    Args:
      uri: `atari:GAME`, `bsuite:NAME/INDEX`, `envpool:ID`, `gym:ID`,
        `minatar:GAME`, the scheme of a plugin, or `package.module:factory`, each with
        `?key=value&key=value`.
      args: keyword arguments beside those in the URI.
      seed: an integer below 2**31; the same one gives the same episodes, where
        the environment can be seeded at all.
      last_action_reward: make the observation a dict that holds the last action and
        reward, too: `LastActionReward`.
      bsuite_log: the file in which an environment of bsuite logs each episode.

    Raises:
      ConfigError: when there is no such environment, or it cannot be used.
    """
    built = build_environment(uri, args, seed)
    if bsuite_log is not None:
        from distrl.environments.bsuite_log import log_episodes

        built = log_episodes(built, bsuite_log)
    try:
        environment = adapt_environment(built, uri, seed)
        return LastActionReward(environment, uri) if last_action_reward else environment
    except BaseException:
        close_quietly(built)
        raise


def build_environment(uri: str, args: Mapping[str, Any], seed: int) -> Any:
    """Returns what a URI names as it is built: a dm_env or a Gymnasium environment.

    The arguments are those of `make_environment`. Its actions and observations need
    not be what distrl takes.

    Raises:
      ConfigError: there is no such environment, or what is built is none.
    """
    built = _build(parse_address(uri, args), seed)
    agents = getattr(built, "possible_agents", None)  # as of PettingZoo
    if agents is not None:
        close_quietly(built)
        raise ConfigError(
            f"environment {uri!r} has several agents ({', '.join(map(str, agents))}); "
            "distrl trains one. Write a factory that returns a dm_env or Gymnasium "
            "environment of one agent and plays the others' actions itself."
        )
    if is_gymnasium(built) or all(
        callable(getattr(built, name, None)) for name in _METHODS
    ):
        return built
    close_quietly(built)
    raise ConfigError(
        f"environment {uri!r} is a {type(built).__module__}."
        f"{type(built).__name__}; its factory has to return one dm_env.Environment "
        "or one gymnasium.Env. One of the older `gym` has to be ported to either: see "
        "https://gymnasium.farama.org/introduction/migration_guide/."
    )


def adapt_environment(built: Any, uri: str, seed: int) -> dm_env.Environment:
    """Returns what was built as a dm_env environment with actions 0 to n - 1.

    Args:
      built: what `build_environment` returned.
      uri: how messages call it.
      seed: of the first reset of a Gymnasium environment.

    Raises:
      ConfigError: its actions are not a single discrete one, or it is one of
        Gymnasium whose observations cannot be taken.
    """
    if is_gymnasium(built):
        from distrl.environments.gymnasium_suite import GymnasiumAdapter

        return GymnasiumAdapter(built, seed, uri)
    action_spec = built.action_spec()
    num_actions = count_actions(action_spec, uri)
    return built if action_spec.minimum == 0 else ShiftedActions(built, num_actions)


def is_gymnasium(built: Any) -> bool:
    """Returns whether an environment is one of Gymnasium."""
    # If it is, then Gymnasium is already imported.
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and isinstance(built, gymnasium.Env)


def read_spec(
    uri: str, args: Mapping[str, Any], *, last_action_reward: bool = False
) -> EnvironmentSpec:
    """Builds an environment, tries a reset and a step, closes it; returns its spec.

    Args:
      uri: as for `make_environment`.
      args: keyword arguments beside those in the URI.
      last_action_reward: as for `make_environment`.

    Raises:
      ConfigError: when there is no such environment, or it cannot be used.
    """
    environment = make_environment(
        uri, args, seed=0, last_action_reward=last_action_reward
    )
    try:
        spec = make_spec(environment, uri)
        _try_out(environment, spec, uri)
        return spec
    finally:
        environment.close()


def preload_suite(uri: str) -> None:
    """Imports the suite behind a URI, if it is one of ours, and nothing of a user's.

    A process that forks others calls it first, so that they share the import.
    """
    scheme = uri.partition(":")[0]
    if scheme == "bsuite":
        importlib.import_module("bsuite.bsuite")
        importlib.import_module("bsuite.sweep")
    elif scheme == "gym":
        importlib.import_module("gymnasium")
    elif scheme == "minatar":
        from distrl.environments.minatar_suite import import_minatar, list_minatar

        if list_minatar():
            import_minatar()
    elif scheme == "atari":
        from distrl.environments.atari_suite import import_atari, list_atari

        if list_atari():
            import_atari()
    elif scheme == "envpool":
        from distrl.environments.envpool_suite import has_envpool, import_envpool

        if has_envpool():
            import_envpool()


def make_vector_environment(
    config: Config,
    spec: EnvironmentSpec,
    count: int,
    role: str,
    index: int,
    life: tuple[int, ...] = (),
) -> VectorEnvironment:
    """Returns `count` environments, each with a seed of its own in the whole run.

    Those of `atari:` and `envpool:` are stepped by their suites, all at once; others
    in this process, or where `environment_processes` says so in some of their own.
    Those of an actor log their episodes if `actor.bsuite_log` says so.

    Args:
      config: the run's configuration.
      spec: of the environment.
      count: E.
      role: `actor` or `evaluator`, for the seeds.
      index: which one of its role steps them, from 0.
      life: of the node, for the seeds (`Session.indices`).
    """
    uri, args = config.environment, config.environment_args
    extends = config.network.last_action_reward
    seeds = [
        derive_seed(config.seed, f"{role} environment", index, i, *life)
        for i in range(count)
    ]
    batch = _load_batch(parse_address(uri, args), seeds)
    if batch is not None:
        if extends:
            batch = LastActionRewardBatch(batch)
        return BatchEnvironment(batch, spec)
    log = None
    if role == "actor" and config.actor.bsuite_log and config.run_dir is not None:
        log = Path(config.run_dir) / BSUITE_LOGS
    builders = [
        functools.partial(
            make_environment,
            uri,
            args,
            seed,
            last_action_reward=extends,
            bsuite_log=None if log is None else log / f"{index}-{i}.csv",
        )
        for i, seed in enumerate(seeds)
    ]
    processes = config.evaluation.environment_processes
    if role == "actor":
        processes = config.actor.environment_processes
    if processes:
        # What ends with the actor has to be done before it is killed.
        close_seconds = config.launch.stop_seconds / 2
        return ProcessEnvironment(builders, processes, spec, close_seconds)
    return VectorEnvironment([build() for build in builders], spec)


def find_module(uri: str) -> str | None:
    """Returns the module that every process imports for a URI; None for a suite's."""
    scheme = uri.partition(":")[0]
    return None if scheme in SCHEMES or scheme in find_plugins() else scheme


def find_plugins() -> dict[str, metadata.EntryPoint]:
    """Returns the schemes that other packages register."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    return {entry_point.name: entry_point for entry_point in found}


def _load_batch(address: Address, seeds: Sequence[int]) -> Batch | None:
    """Returns an environment for each seed, None from a suite that makes no batches."""
    if address.scheme == "atari":
        from distrl.environments.atari_suite import load_atari

        return load_atari(address, seeds)
    if address.scheme == "envpool":
        from distrl.environments.envpool_suite import load_envpool

        return load_envpool(address, seeds)
    return None


def _build(address: Address, seed: int) -> Any:
    batch = _load_batch(address, [seed])
    if batch is not None:
        return OneOfBatch(batch)
    if address.scheme == "bsuite":
        from distrl.environments.bsuite_suite import load_bsuite

        return load_bsuite(address, seed)
    if address.scheme == "gym":
        from distrl.environments.gymnasium_suite import load_gymnasium

        return load_gymnasium(address, seed)
    if address.scheme == "minatar":
        from distrl.environments.minatar_suite import load_minatar

        return load_minatar(address, seed)
    plugins = find_plugins()
    if address.scheme in plugins:
        return _load_plugin(plugins[address.scheme], address, seed)
    if address.scheme == "dm_control":
        raise ConfigError(
            f"environment {address.uri!r}: dm_control has no scheme, for its actions "
            "are continuous, and which of their values to choose among is yours to "
            "say. Write a factory that does, and name it as package.module:factory; "
            "docs/environments.md has one for dm_control."
        )
    return build_by_factory(address, seed, [*SCHEMES, *plugins])


def _load_plugin(entry_point: metadata.EntryPoint, address: Address, seed: int) -> Any:
    try:
        return entry_point.load()(address.rest, address.args, seed)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"environment {address.uri!r} could not be built by {entry_point.value!r}, "
            f"which registers {address.scheme!r}: {type(error).__name__}: {error}"
        ) from error


def _try_out(environment: dm_env.Environment, spec: EnvironmentSpec, uri: str) -> None:
    vector = VectorEnvironment([environment], spec)
    call = "reset()"
    try:
        _, mask = split_mask(vector.reset())
        action = np.zeros(1, np.int32) if mask is None else mask.argmax(axis=1)
        call = f"step({action[0]})"
        vector.step(action)
    except Exception as fault:
        error = fault.__cause__ or fault  # the environment's own, if it raised
        what = f"failed at its first {call}: {type(error).__name__}: {error}"
        if isinstance(error, EnvironmentFault):
            what = str(fault).removeprefix("environment 0 ")
        raise ConfigError(f"environment {uri!r} {what}") from error


def close_quietly(built: Any) -> None:
    """Closes an environment; what it raises is lost, for another error says more."""
    try:
        built.close()
    except Exception:
        return
