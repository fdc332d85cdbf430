"""The form of `launch.environment`; which groups there are, the launcher knows."""

from typing import Any

from distrl.config.fields import show_value
from distrl.config.schema import LaunchConfig
from distrl.errors import ConfigError


def check_environment_variables(launch: LaunchConfig) -> None:
    """Raises ConfigError unless each group has variables that a process can have."""
    if launch.environment and launch.backend == "threads":
        raise ConfigError(
            f"launch.environment = {show_value(launch.environment)}: with "
            "launch.backend = threads all nodes are threads of one process, which has "
            "one environment; set the variables where distrl is started"
        )
    for group, variables in launch.environment.items():
        field = f"launch.environment.{group}"
        if not isinstance(variables, dict):
            raise ConfigError(
                f"{field} = {show_value(variables)}: it must be a mapping of variables "
                "to values, for example {CUDA_VISIBLE_DEVICES: 0}"
            )
        for name, value in variables.items():
            _check_variable(f"{field}.{name}", name, value)


def _check_variable(field: str, name: str, value: Any) -> None:
    if not name or "=" in name or "\0" in name:
        raise ConfigError(
            f"{field} = {show_value(value)}: the name of an environment variable is "
            "not empty and has no '='"
        )
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_text = isinstance(value, str) and "\0" not in value
    if not is_number and not is_text:
        raise ConfigError(
            f"{field} = {show_value(value)}: it must be text or a number; write true "
            "as the variable's reader wants it, for example '1' or 'true'"
        )
