"""A replay node: a Reverb server that reports its size."""

import contextlib
import functools
import math
from collections.abc import Callable, Mapping

import reverb

from distrl.checkpoints import PartSaver, SaveReports
from distrl.config.schema import Config
from distrl.remote import is_listening
from distrl.replay.checkpoint import start_server, take_part
from distrl.replay.tables import TABLE_NAME, make_table
from distrl.types import EnvironmentSpec, StopSignal

# How long the last gauges may take when the run ends.
_LAST_SECONDS = 1.0


def read_gauges(
    client: reverb.Client, transitions_per_item: int, timeout: float
) -> dict[str, float]:
    """Returns `replay_size`, `inserted` and `sampled`, all in transitions.

    `inserted` and `sampled` count from the start of the table; a table that was
    restored from a checkpoint goes on from its counts there.

    Args:
      client: of the server itself.
      transitions_per_item: the transitions in each item of the table.
      timeout: the seconds that the server may take to answer.

    Raises:
      reverb.errors.DeadlineExceededError: it took longer.
    """
    info = client.server_info(math.ceil(timeout))[TABLE_NAME]
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
    reports: SaveReports | None = None,
    shard: int = 0,
) -> None:
    """Serves a shard of replay until `stop` is set.

    It starts with the shard's items in the newest checkpoint of the run, if any.

    Args:
      config: the run's configuration.
      spec: the environment's observations and actions.
      port: the port to serve at, on all interfaces.
      stop: ends the server.
      report: takes the gauges of `read_gauges`, at the start, then every
        `launch.report_seconds`, and at the end.
      reports: says when a checkpoint is made, and hears of it; None makes none.
      shard: which of `replay.shards` it is, from 0.

    Raises:
      RuntimeError: the port is taken, which Reverb itself would share silently, or
        the items saved do not fit the configuration.
    """
    limit = config.launch.rpc_seconds
    if is_listening(f"localhost:{port}", timeout=limit):
        raise RuntimeError(
            f"Port {port} is taken by another server: the replay server cannot "
            "start. Choose another port, or end the other server."
        )
    make = functools.partial(make_table, config, spec)
    server = start_server(config, make, port, shard)
    client, block = server.localhost_client(), config.replay.block_size
    saver = None
    if reports is not None and config.checkpoint.save_replay:
        take = functools.partial(take_part, server)
        saver = PartSaver(config, config.replay.shard_names[shard], take, reports, stop)
    try:
        gauges = read_gauges(client, block, limit)
        report(gauges)
        is_over = False
        while not is_over:
            is_over = stop.wait(config.launch.report_seconds)
            # A server that is busy with a checkpoint may keep its own client waiting.
            with contextlib.suppress(reverb.errors.DeadlineExceededError):
                gauges = read_gauges(client, block, _LAST_SECONDS if is_over else limit)
            report(gauges)
            if saver is not None and not is_over:
                saver.poll()
        # Before its first sample there is no step of the learner to go on from. But one
        # that was started again may have given none, while other shards gave theirs.
        is_learned_from = reports is not None and reports.run_learner_steps > 0
        if saver is not None and (gauges["sampled"] > 0 or is_learned_from):
            saver.finish()
    finally:
        server.stop()
