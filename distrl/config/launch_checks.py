"""Checks of what runs where: processes, environment variables, the cluster."""

import math
from collections.abc import Mapping
from typing import Any

from distrl.config.fields import find_value, show_value
from distrl.config.schema import Config, LaunchConfig
from distrl.errors import ConfigError, suggest

# The resources that every cluster has, and common misspellings.
_RESOURCES = ("num_cpus", "num_gpus", "memory")
_MISTAKES = ("CPU", "GPU", "cpu", "gpu", "cpus", "gpus", "num_cpu", "num_gpu")


def check_launch(config: Config) -> None:
    """Raises ConfigError unless the nodes can be launched; does not ask a cluster."""
    launch = config.launch
    if launch.report_seconds >= launch.silent_seconds:
        raise ConfigError(
            f"launch.report_seconds = {launch.report_seconds:g}: it must be below "
            f"launch.silent_seconds = {launch.silent_seconds:g}, or every node counts "
            "as silent"
        )
    _check_environments(config)
    _check_bsuite_log(config)
    _check_environment_variables(launch)
    if launch.address is not None:
        check_address("launch.address", launch.address)
    _check_resources(launch.resources)


def check_address(name: str, address: str) -> None:
    """Raises ConfigError unless an address of Ray is `auto` or `host:port`."""
    if address == "auto":
        return
    field = f"{name} = {show_value(address)}"
    if address.startswith("ray://"):
        raise ConfigError(
            f"{field}: a Ray client cannot place a program. Start distrl on a machine "
            "of the cluster, and give the address of its head there, for example "
            "10.0.0.1:6379, or auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(
            f"{field}: it must be host:port of a running cluster, for example "
            "10.0.0.1:6379, or auto, or null to start Ray on this machine"
        )


def _check_environments(config: Config) -> None:
    evaluation = config.evaluation
    if evaluation.episodes % evaluation.environments:
        raise ConfigError(
            f"evaluation.environments = {evaluation.environments}: it must divide "
            f"evaluation.episodes = {evaluation.episodes}"
        )
    for section in ("actor", "evaluation"):
        processes = find_value(config, f"{section}.environment_processes")
        environments = find_value(config, f"{section}.environments")
        field = f"{section}.environment_processes = {processes}"
        if processes > environments:
            raise ConfigError(
                f"{field}: each process steps at least one environment, so it must be "
                f"at most {section}.environments = {environments}"
            )


def _check_bsuite_log(config: Config) -> None:
    """Refuses what would leave gaps in the log, which bsuite would then score."""
    if not config.actor.bsuite_log:
        return
    field = "actor.bsuite_log = true"
    if not config.environment.startswith("bsuite:"):
        raise ConfigError(
            f"{field}: environment {config.environment!r} is not from bsuite; set it "
            "to false"
        )
    if config.launch.restart != "never":
        raise ConfigError(
            f"{field}: a restarted actor begins a new log; set launch.restart to "
            f"never, instead of {config.launch.restart}"
        )
    period = config.checkpoint.period_learner_steps
    if config.launch.backend == "serial" and period is not None:
        raise ConfigError(
            f"{field}: with checkpoint.period_learner_steps = {period} the serial "
            "backend leaves episodes unfinished at each checkpoint; set that to null"
        )


def _check_environment_variables(launch: LaunchConfig) -> None:
    if launch.environment and launch.backend == "threads":
        raise ConfigError(
            f"launch.environment = {show_value(launch.environment)}: with "
            "launch.backend = threads all nodes share the environment of one process; "
            "set the variables where distrl is started"
        )
    example = "variables to values, for example {CUDA_VISIBLE_DEVICES: 0}"
    for field, name, value in _flatten("environment", launch.environment, example):
        if not name or "=" in name or "\0" in name:
            raise ConfigError(
                f"{field}: the name of an environment variable must not be empty or "
                "contain '='"
            )
        if not _is_number(value) and (not isinstance(value, str) or "\0" in value):
            raise ConfigError(
                f"{field}: it must be text or a number; write true as the program that "
                "reads it expects, for example '1' or 'true'"
            )


def _check_resources(resources: Mapping[str, Any]) -> None:
    example = "resources to amounts, for example {num_cpus: 1, num_gpus: 1}"
    for field, name, amount in _flatten("resources", resources, example):
        if not _is_number(amount) or not 0 <= amount < math.inf:
            raise ConfigError(f"{field}: it must be a number, at least 0")
        if name == "num_gpus" and amount > 1 and amount != int(amount):
            raise ConfigError(f"{field}: above 1, Ray assigns whole GPUs only")
        if name in _MISTAKES:
            raise ConfigError(
                f"{field}: there is no such resource.{suggest(name, _RESOURCES)}"
            )


def _flatten(
    field: str, by_group: Mapping[str, Any], expected: str
) -> list[tuple[str, str, Any]]:
    """Returns `field = value`, name and value of each entry, for all groups."""
    entries = []
    for group, mapping in by_group.items():
        dotted = f"launch.{field}.{group}"
        if not isinstance(mapping, Mapping):
            raise ConfigError(
                f"{dotted} = {show_value(mapping)}: it must be a mapping of {expected}"
            )
        for name, value in mapping.items():
            entries.append((f"{dotted}.{name} = {show_value(value)}", name, value))
    return entries


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
