"""The `launch` section of the configuration: how a program runs (see `schema`)."""

from dataclasses import dataclass, field
from typing import Any, Literal

from distrl.config.field_types import Count, CountOrZero, Seconds, SecondsOrZero

Backend = Literal["processes", "threads", "launchpad", "serial", "ray"]


@dataclass(frozen=True)
class LaunchConfig:
    """How the program runs, on this machine or on a cluster."""

    backend: Backend = "processes"
    """`processes`, `threads`, `launchpad` (lp.launch), `serial` (one loop) or `ray`."""
    isolate: bool = True
    """Cut the program off from the network, where the system allows it."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Environment variables by group of nodes: `{learner: {JAX_PLATFORMS: cpu}}`."""
    check_seconds: Seconds | None = 300.0
    """Time limit of each part of the check before the start; null: none."""
    start_seconds: Seconds | None = 600.0
    """Time limit for a node to begin to work, compilation included; null: none."""
    stop_seconds: Seconds = 8.0
    """Seconds that nodes have to end before they are killed."""
    report_seconds: Seconds = 0.25
    """Seconds between a node's reports to the coordinator."""
    metrics_seconds: Seconds = 5.0
    """Seconds between rows of a node's metrics, in CSV and TensorBoard."""
    log_mib: Count = 16
    """MiB of output kept per node; the oldest is removed."""
    silent_seconds: Seconds = 30.0
    """Seconds without a sign of life after which a node counts as dead."""
    rpc_seconds: Seconds = 10.0
    """Time limit of a remote call."""
    connect_seconds: Seconds = 60.0
    """Seconds that a node waits for another to become available."""
    restart: Literal["never", "killed", "always"] = "killed"
    """Restart nodes: `never`, if `killed` or hanging, or `always`, also if failed."""
    max_restarts: CountOrZero = 5
    """Restarts of a node allowed within the window; one more fails the run."""
    restart_window_seconds: Seconds = 60.0
    """Window in which the restarts of a node are counted."""
    restart_delay_seconds: SecondsOrZero = 0.25
    """Seconds before a restart; doubled with each in the window."""
    address: str | None = None
    """ray: address of a running cluster, host:port or `auto`; null starts one here."""
    resources: dict[str, Any] = field(default_factory=dict)
    """ray: resources of a node by group, `{learner: {num_gpus: 1}, ...}`."""
    strategy: Literal["spread", "pack"] = "spread"
    """ray: `spread` the nodes over all machines, or `pack` them on few."""
    runtime_env: dict[str, Any] = field(default_factory=dict)
    """ray: how your code gets to the machines, for example `{working_dir: .}`."""

    @property
    def patience_seconds(self) -> float:
        """How long a node waits for a server, which may hang and be restarted."""
        return self.silent_seconds + self.connect_seconds
