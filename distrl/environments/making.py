"""Construction from a URI: one environment, its spec, or many in lock-step."""

import contextlib
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dm_env
import numpy as np

from distrl.action_masks import split_mask
from distrl.config import Config
from distrl.config.fields import find_value
from distrl.environments.batch import BatchEnvironment
from distrl.environments.bsuite_suite import log_episodes
from distrl.environments.spec import count_actions, make_spec
from distrl.environments.suites import find_suite, parse_address
from distrl.environments.vector import (
    SyncEnvironment,
    VectorEnvironment,
    add_last_action_reward,
)
from distrl.environments.worker_processes import ProcessEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

BSUITE_LOGS = "bsuite"
"""The folder of a run directory with bsuite's log of each environment."""


def make_environment(
    uri: str, args: Mapping[str, Any], seed: int, *, bsuite_log: Path | None = None
) -> dm_env.Environment:
    """Builds one environment with a single discrete action.

    `uri` is an address of a suite (`suites.FORMS`) or of a plugin's scheme, or
    `package.module:factory`, and `args` are further arguments. `seed`, below 2**31,
    determines the episodes if the environment can be seeded. `bsuite_log` is a file in
    which a bsuite environment logs its episodes. Raises ConfigError if the environment
    does not exist or cannot be used.
    """
    built = build_environment(uri, args, seed)
    if bsuite_log is not None:
        built = log_episodes(built, bsuite_log)
    try:
        return adapt_environment(built, uri, seed)
    except BaseException:
        close_quietly(built)
        raise


def build_environment(uri: str, args: Mapping[str, Any], seed: int) -> Any:
    """Returns the dm_env or Gymnasium environment of a URI, without adapting it."""
    address = parse_address(uri, args)
    built = find_suite(address).build(address, seed)
    names = ("reset", "step", "observation_spec", "action_spec")
    is_dm_env = all(callable(getattr(built, name, None)) for name in names)
    if is_dm_env or is_gymnasium(built):
        return built
    close_quietly(built)
    raise ConfigError(
        f"environment {uri!r} is a {type(built).__module__}.{type(built).__name__}; "
        "its factory must return one dm_env.Environment or one gymnasium.Env, of one "
        "agent. An environment of the older `gym` has to be ported: see "
        "https://gymnasium.farama.org/introduction/migration_guide/."
    )


def adapt_environment(built: Any, uri: str, seed: int) -> dm_env.Environment:
    """Adapts an environment to dm_env; raises ConfigError if distrl cannot use it.

    `seed` is for the first reset of a Gymnasium environment.
    """
    if is_gymnasium(built):
        from distrl.environments.gymnasium_suite import GymnasiumAdapter

        return GymnasiumAdapter(built, seed, uri)
    count_actions(built.action_spec(), uri)
    adapted: dm_env.Environment = built
    return adapted


def is_gymnasium(built: Any) -> bool:
    """Returns whether `built` is a Gymnasium environment."""
    # Do not import Gymnasium for this: whoever built one has imported it.
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and isinstance(built, gymnasium.Env)


def read_spec(
    uri: str, args: Mapping[str, Any], *, last_action_reward: bool = False
) -> EnvironmentSpec:
    """Returns the spec of an environment, after trying a reset and a step."""
    with contextlib.closing(make_environment(uri, args, seed=0)) as environment:
        spec = make_spec(environment, uri)
        _try_out(environment, spec, uri)
    return add_last_action_reward(spec) if last_action_reward else spec


def check_environment_processes(config: Config) -> None:
    """Raises ConfigError if processes are set for a suite with `load_batch`."""
    suite = find_suite(parse_address(config.environment, config.environment_args))
    for section in ("actor", "evaluation"):
        processes = find_value(config, f"{section}.environment_processes")
        if processes and suite.load_batch is not None:
            raise ConfigError(
                f"{section}.environment_processes = {processes}: environment "
                f"{config.environment!r} is stepped by its suite, all at once and in "
                "its own threads (num_threads); set it to 0"
            )


def make_vector_environment(
    config: Config,
    spec: EnvironmentSpec,
    count: int,
    role: str,
    index: int,
    incarnation: tuple[int, ...] = (),
) -> VectorEnvironment:
    """Returns E = `count` environments, each with a seed unique in the run.

    A suite with `load_batch` steps them all at once. Others are stepped in this process
    or in `environment_processes` others. Seeds depend on `role` (`actor` or
    `evaluator`), the node's `index` in it and its `incarnation` (`Session.indices`).
    """
    uri, args = config.environment, config.environment_args
    extends = config.network.last_action_reward
    seeds = [
        derive_seed(config.seed, f"{role} environment", index, i, *incarnation)
        for i in range(count)
    ]
    address = parse_address(uri, args)
    suite = find_suite(address)
    if suite.load_batch is not None:
        return BatchEnvironment(suite.build_batch(address, seeds), spec, extends)
    section = "actor" if role == "actor" else "evaluation"
    processes = find_value(config, f"{section}.environment_processes")
    log = None
    if role == "actor" and config.actor.bsuite_log and config.run_dir is not None:
        log = Path(config.run_dir) / BSUITE_LOGS
    build = functools.partial(make_environment, uri, args)
    builders = [
        functools.partial(build, seed, bsuite_log=log and log / f"{index}-{i}.csv")
        for i, seed in enumerate(seeds)
    ]
    if processes:
        # An actor must close them before it is killed itself.
        seconds = config.launch.stop_seconds / 2
        return ProcessEnvironment(builders, processes, spec, seconds, extends)
    return SyncEnvironment([build() for build in builders], spec, extends)


def close_quietly(built: Any) -> None:
    """Closes an environment after a more telling error; drops errors of closing."""
    with contextlib.suppress(Exception):
        built.close()


def _try_out(environment: dm_env.Environment, spec: EnvironmentSpec, uri: str) -> None:
    vector = SyncEnvironment([environment], spec)
    try:
        _, mask = split_mask(vector.reset())
        vector.step(np.zeros(1, int) if mask is None else mask.argmax(axis=1))
    except EnvironmentFault as fault:
        what = str(fault).removeprefix("environment 0 ")
        raise ConfigError(f"environment {uri!r} {what}") from fault
