"""Connects to Ray: a cluster that runs already, or one that is started here."""

import logging
import os
import warnings
from typing import Any

from distrl.config import LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.cluster.demands import Machine
from distrl.ports import is_listening


class _Sealed(list):
    """A list that stays empty: of directories that workers search before all others.

    Ray adds the working directory of the process that connects, which may hold files
    with the names of standard modules.
    """

    def extend(self, _: Any) -> None:
        """Adds nothing."""


def connect(
    launch: LaunchConfig, name: str = "launch.address", directory: str | None = None
) -> None:
    """Connects this process to the cluster of `launch.address`.

    Args:
      launch: which cluster, and what is set up there.
      name: of the field or flag that gave the address, for messages.
      directory: for the files and sockets of a cluster that is started here.

    Raises:
      ConfigError: Ray is not installed, there is no such cluster, or the runtime
        environment is none.
    """
    try:
        # Nothing of a run is told to anybody.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
    except ImportError as error:
        raise ConfigError(
            f"{name}: Ray is not installed here ({error}); install the extra in the "
            "directory of your checkout: pip install --editable '.[ray]'"
        ) from error
    address = launch.address
    named = None if address == "auto" else address
    if named is not None and not is_listening(named, launch.rpc_seconds):
        raise _refuse(launch, name, "nothing listens there")
    options: dict[str, Any] = {}
    if address is None:
        options = {"include_dashboard": False, "_temp_dir": directory}
    job = ray.job_config.JobConfig()
    job._py_driver_sys_path = _Sealed()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address="local" if address is None else address,
                runtime_env=launch.runtime_env or None,
                job_config=job,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **options,
            )
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise _refuse(launch, name, first or type(error).__name__) from error


def list_machines() -> list[Machine]:
    """Returns the machines of the cluster that are there now."""
    import ray

    return [
        Machine(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def read_available() -> dict[str, float]:
    """Returns what nobody uses, of all machines together."""
    import ray

    return ray.available_resources()


def disconnect() -> None:
    """Leaves the cluster, and ends it if it was started here."""
    import ray

    ray.shutdown()


def _refuse(launch: LaunchConfig, name: str, reason: str) -> ConfigError:
    if launch.address is None:
        return ConfigError(
            f"launch.backend = 'ray': Ray could not be started here: {reason}. "
            "launch.address names a cluster that runs already."
        )
    return ConfigError(
        f"{name} = {launch.address!r}: cannot connect to that cluster: "
        f"{reason}. Start distrl on one of its machines (`ray start` makes this "
        "machine one), and give the address that `ray start --head` printed, or auto."
    )
