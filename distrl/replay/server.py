"""The replay node: a Reverb server that reports how full it is."""

from collections.abc import Callable, Mapping

import reverb

from distrl.config.limits import count_per_item
from distrl.config.schema import Config
from distrl.replay.connection import is_listening
from distrl.replay.tables import make_table
from distrl.types import EnvironmentSpec, StopSignal

# Reverb's default makes a temporary directory at each start, and leaves it there.
_NOWHERE = "/dev/null/replay"


def read_gauges(table: reverb.Table, transitions_per_item: int) -> dict[str, float]:
    """Returns `replay_size`, `inserted` and `sampled`, all in transitions.

    `inserted` and `sampled` count from the start of the table.
    """
    info = table.info
    limiter = info.rate_limiter_info
    return {
        "replay_size": float(info.current_size * transitions_per_item),
        "inserted": float(limiter.insert_stats.completed * transitions_per_item),
        "sampled": float(limiter.sample_stats.completed * transitions_per_item),
    }


def serve_replay(
    config: Config,
    spec: EnvironmentSpec,
    port: int,
    stop: StopSignal,
    report: Callable[[Mapping[str, float]], object],
    checkpointer: reverb.checkpointers.CheckpointerBase | None = None,
) -> None:
    """Serves the table until `stop` is set.

    Args:
      config: the run's configuration.
      spec: the environment's observations and actions.
      port: the port to serve at, on all interfaces.
      stop: ends the server.
      report: takes the gauges of `read_gauges`, at the start and then every
        `launch.report_seconds`.
      checkpointer: where checkpoints are loaded from and saved; None for nowhere.

    Raises:
      RuntimeError: the port is taken. Reverb itself would share it silently.
    """
    if is_listening(f"localhost:{port}", timeout=config.launch.rpc_seconds):
        raise RuntimeError(
            f"Port {port} is taken by another server: the replay server cannot "
            "start. Choose another port, or end the other server."
        )
    if checkpointer is None:
        checkpointer = reverb.checkpointers.DefaultCheckpointer(_NOWHERE)
    table = make_table(config, spec)
    server = reverb.Server([table], port=port, checkpointer=checkpointer)
    block = count_per_item(config)
    try:
        report(read_gauges(table, block))
        while not stop.wait(config.launch.report_seconds):
            report(read_gauges(table, block))
    finally:
        server.stop()
