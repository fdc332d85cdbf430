"""The replay node: a Reverb server that reports its size."""

import contextlib
import math
import time
from pathlib import Path

import reverb

from distrl.checkpoints import find_scratch, return_freed_memory
from distrl.config.schema import Config
from distrl.coordinator import Reporter
from distrl.replay.checkpoint import start_server
from distrl.replay.forms import TABLE_NAME
from distrl.system.remote import is_listening
from distrl.types import EnvironmentSpec, StopSignal

# How long the last reading of the gauges may take when the run ends.
_LAST_SECONDS = 1.0
_SLICE_SECONDS = 0.05


def read_gauges(
    client: reverb.Client, transitions_per_item: int, timeout: float
) -> dict[str, float]:
    """Returns `replay_size`, `inserted` and `sampled`, all in transitions.

    The last two continue their counts when the table is restored from a checkpoint.
    Raises reverb.errors.DeadlineExceededError without an answer in `timeout` seconds.
    """
    info = client.server_info(math.ceil(timeout))[TABLE_NAME]
    limiter = info.rate_limiter_info
    items = {
        "replay_size": info.current_size,
        "inserted": limiter.insert_stats.completed,
        "sampled": limiter.sample_stats.completed,
    }
    return {name: float(x * transitions_per_item) for name, x in items.items()}


def serve_replay(
    config: Config,
    spec: EnvironmentSpec,
    port: int,
    stop: StopSignal,
    reporter: Reporter,
    shard: int = 0,
) -> None:
    """Serves a shard of replay until `stop` is set and the learner has ended.

    It starts with the shard's contents in the run's newest checkpoint, if any, and ends
    after the learner, which saves it a last time. `reporter` gets `read_gauges` at the
    start, every `launch.report_seconds` and at the end.

    Raises:
      RuntimeError: the port is taken, where Reverb itself would silently share it; or
        the checkpoint does not fit.
    """
    limit = config.launch.rpc_seconds
    if is_listening(f"localhost:{port}", timeout=limit):
        raise RuntimeError(
            f"Port {port} is taken by another server: the replay server cannot "
            "start. Choose another port, or end the other server."
        )
    server = start_server(config, spec, port, shard)
    client, block = server.localhost_client(), config.replay.block_size
    scratch = find_scratch(config.run_dir or "", config.replay.shard_names[shard])
    saved = _read_change(scratch)
    try:
        is_over = False
        gauges = read_gauges(client, block, limit)
        while True:
            reporter.gauge(**gauges)
            reporter.send()
            if saved != (saved := _read_change(scratch)):
                return_freed_memory()
            if is_over:
                break
            is_over = stop.wait(config.launch.report_seconds)
            # A server that writes a checkpoint may delay even its own client.
            with contextlib.suppress(reverb.errors.DeadlineExceededError):
                gauges = read_gauges(client, block, _LAST_SECONDS if is_over else limit)
        if config.checkpoint.save_replay:
            _wait_for_learner(config, stop, reporter)
    finally:
        server.stop()
    reporter.send(last=True)


def _wait_for_learner(config: Config, stop: StopSignal, reporter: Reporter) -> None:
    """Waits for the learner's last checkpoint, within a time limit."""
    end = time.monotonic() + config.checkpoint.save_seconds
    while reporter.learner_remains and time.monotonic() < end:
        stop.is_set()  # a sign of life
        time.sleep(_SLICE_SECONDS)
        reporter.send()


def _read_change(scratch: Path) -> int | None:
    """Returns when Reverb last wrote a checkpoint, or one was moved away."""
    try:
        return scratch.stat().st_mtime_ns
    except OSError:
        return None
