"""From a URI to an environment: who builds it, and what is accepted."""

import importlib
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import dm_env
import numpy as np

from distrl.config import Config
from distrl.environments.actions import ShiftedActions, count_actions
from distrl.environments.address import Address, parse_address
from distrl.environments.factory import build_by_factory
from distrl.environments.last_action_reward import LastActionReward
from distrl.environments.spec import make_spec
from distrl.environments.vector import VectorEnvironment
from distrl.errors import ConfigError
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

ENTRY_POINTS = "distrl.environments"
"""The entry-point group in which a package registers a scheme.

The entry point's name is the scheme; it is called as `load(rest, args, seed)` and
returns a dm_env or Gymnasium environment.
"""

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
      uri: `bsuite:NAME/INDEX`, `gym:ID`, `minatar:GAME` or
        `package.module:factory`, each with `?key=value&key=value`.
      args: keyword arguments beside those in the URI.
      seed: an integer below 2**31; the same one gives the same episodes, where
        the environment can be seeded at all.
      last_action_reward: make the observation a dict that holds the last action and
        reward, too: `LastActionReward`.
      bsuite_log: the file in which an environment of bsuite logs each episode.

    Raises:
      ConfigError: when there is no such environment, or it cannot be used.
    """
    address = parse_address(uri, args)
    built = _build(address, seed)
    if bsuite_log is not None:
        from distrl.environments.bsuite_log import log_episodes

        built = log_episodes(built, bsuite_log)
    try:
        environment = _adapt(built, uri, seed)
        return LastActionReward(environment, uri) if last_action_reward else environment
    except BaseException:
        _close_quietly(built)
        raise


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


def make_vector_environment(
    config: Config,
    spec: EnvironmentSpec,
    count: int,
    role: str,
    index: int,
    life: tuple[int, ...] = (),
) -> VectorEnvironment:
    """Returns `count` environments, each with a seed of its own in the whole run.

    Those of an actor log their episodes if `actor.bsuite_log` says so.

    Args:
      config: the run's configuration.
      spec: of the environment.
      count: E.
      role: `actor` or `evaluator`, for the seeds.
      index: which one of its role steps them, from 0.
      life: of the node, for the seeds (`Session.indices`).
    """
    log = None
    if role == "actor" and config.actor.bsuite_log and config.run_dir is not None:
        log = Path(config.run_dir) / BSUITE_LOGS
    return VectorEnvironment(
        [
            make_environment(
                config.environment,
                config.environment_args,
                derive_seed(config.seed, f"{role} environment", index, i, *life),
                last_action_reward=config.network.last_action_reward,
                bsuite_log=None if log is None else log / f"{index}-{i}.csv",
            )
            for i in range(count)
        ],
        spec,
    )


def find_plugins() -> dict[str, metadata.EntryPoint]:
    """Returns the schemes that other packages register."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    return {entry_point.name: entry_point for entry_point in found}


def _build(address: Address, seed: int) -> Any:
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
    return build_by_factory(address, seed, ["bsuite", "gym", "minatar", *plugins])


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


def _adapt(built: Any, uri: str, seed: int) -> dm_env.Environment:
    # If it is a Gymnasium environment, then Gymnasium is already imported.
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is not None and isinstance(built, gymnasium.Env):
        from distrl.environments.gymnasium_suite import GymnasiumAdapter

        return GymnasiumAdapter(built, seed, uri)
    if not all(callable(getattr(built, name, None)) for name in _METHODS):
        raise ConfigError(
            f"environment {uri!r} is a {type(built).__module__}."
            f"{type(built).__name__}; its factory has to return a dm_env.Environment "
            "or a gymnasium.Env (one of the older `gym` has to be ported to either)."
        )
    action_spec = built.action_spec()
    num_actions = count_actions(action_spec, uri)
    return built if action_spec.minimum == 0 else ShiftedActions(built, num_actions)


def _try_out(environment: dm_env.Environment, spec: EnvironmentSpec, uri: str) -> None:
    vector = VectorEnvironment([environment], spec)
    action = np.zeros(1, np.int32)
    calls = {"reset()": vector.reset, "step(0)": lambda: vector.step(action)}
    for call, run in calls.items():
        try:
            run()
        except Exception as fault:
            error = fault.__cause__ or fault  # the environment's own, if it raised
            raise ConfigError(
                f"environment {uri!r} failed at its first {call}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _close_quietly(built: Any) -> None:
    # The error that is on its way says more than one from here.
    try:
        built.close()
    except Exception:
        return
