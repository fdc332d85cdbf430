"""The fields of a run on a Ray cluster: what they may hold."""

import math
from typing import Any

from distrl.config.fields import show_value
from distrl.config.schema import LaunchConfig
from distrl.errors import ConfigError, suggest

# Every cluster knows these; others are the cluster's own.
_STANDARD_RESOURCES = ("num_cpus", "num_gpus", "memory")


def check_cluster(launch: LaunchConfig) -> None:
    """Raises ConfigError unless the address and the resources have the right form.

    Whether the cluster is there, and has them, is seen when it is connected to.
    """
    if launch.address is not None:
        check_address("launch.address", launch.address)
    for group, wanted in launch.resources.items():
        field = f"launch.resources.{group}"
        if not isinstance(wanted, dict):
            raise ConfigError(
                f"{field} = {show_value(wanted)}: it must be a mapping of resources to "
                "amounts, for example {num_cpus: 1, num_gpus: 1}"
            )
        for name, amount in wanted.items():
            _check_amount(f"{field}.{name}", name, amount)


def check_address(name: str, address: str) -> None:
    """Raises ConfigError unless an address can be one of a running cluster.

    Args:
      name: of the field or flag that gives it.
      address: `host:port`, or `auto`.
    """
    if address == "auto":
        return
    field = f"{name} = {show_value(address)}"
    if address.startswith("ray://"):
        raise ConfigError(
            f"{field}: a Ray client cannot be asked to place a program. Start distrl "
            "on a machine of the cluster, and give the address of its head there, for "
            "example 10.0.0.1:6379, or auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(
            f"{field}: it must be host:port of a running cluster, for example "
            "10.0.0.1:6379, or auto, or null to start Ray on this machine"
        )


def _check_amount(field: str, name: str, amount: Any) -> None:
    is_number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
    if not is_number or not 0 <= amount < math.inf:
        raise ConfigError(
            f"{field} = {show_value(amount)}: it must be a number, at least 0"
        )
    if name == "num_gpus" and amount > 1 and amount != int(amount):
        raise ConfigError(
            f"{field} = {show_value(amount)}: above 1 Ray gives out whole GPUs only"
        )
    if name in ("CPU", "GPU", "cpu", "gpu", "cpus", "gpus", "num_cpu", "num_gpu"):
        raise ConfigError(
            f"{field} = {show_value(amount)}: there is no such resource."
            f"{suggest(name, _STANDARD_RESOURCES)}"
        )
