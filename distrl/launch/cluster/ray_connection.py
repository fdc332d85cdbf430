"""The connection to Ray: to a running cluster, or to one that is started here."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray

from distrl.config import LaunchConfig
from distrl.errors import ConfigError
from distrl.system.remote import is_listening


@dataclass(frozen=True)
class ClusterMachine:
    """A machine of the cluster: Ray's id, and total resources by Ray's names."""

    key: str
    ip: str
    resources: Mapping[str, float]


class _EmptyList(list[str]):
    """A list that stays empty, for the directories that Ray's workers search first.

    Ray adds the working directory of the process that connects, and a file there may
    shadow a standard module.
    """

    def extend(self, _: Any) -> None:
        """Adds nothing."""


@contextlib.contextmanager
def connect(
    launch: LaunchConfig, name: str = "launch.address", directory: str | None = None
) -> Iterator[None]:
    """Connects this process to the cluster at `launch.address`, or starts one.

    Leaves it at the end, and ends one that was started here, whose files and sockets
    are in `directory`. `name` is the field or flag of the address.

    Raises:
      ConfigError: nothing answers there, or Ray refuses the runtime environment.
    """
    # Keep Ray from reporting the run to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = launch.address or "local"
    is_named = address not in ("local", "auto")
    if is_named and not is_listening(address, launch.rpc_seconds):
        raise _refuse(launch, name, "nothing listens there")
    # Only for a cluster that is started here.
    options: dict[str, Any] = {"include_dashboard": False, "_temp_dir": directory}
    job = ray.job_config.JobConfig()
    job._py_driver_sys_path = _EmptyList()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address=address,
                runtime_env=launch.runtime_env or None,
                job_config=job,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(options if address == "local" else {}),
            )
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise _refuse(launch, name, first or type(error).__name__) from error
    try:
        yield
    finally:
        ray.shutdown()


def list_machines() -> list[ClusterMachine]:
    """Returns the machines of the cluster that are alive."""
    return [
        ClusterMachine(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def read_available() -> dict[str, float]:
    """Returns the unused resources of all machines together."""
    return ray.available_resources()


def _refuse(launch: LaunchConfig, name: str, reason: str) -> ConfigError:
    if launch.address is None:
        return ConfigError(
            f"launch.backend = 'ray': Ray could not be started here: {reason}. "
            "launch.address names a cluster that is already running."
        )
    return ConfigError(
        f"{name} = {launch.address!r}: cannot connect to that cluster: {reason}. "
        "Start distrl on one of its machines (`ray start` adds this machine), and give "
        "the address that `ray start --head` printed, or auto."
    )
