"""The server of a shard of replay: its table, its node and its checkpoints.

A Reverb server keeps only its newest checkpoint, in a directory whose name it chooses.
So it writes into a hidden directory, from which the learner moves the result into the
run's checkpoint.
"""

import contextlib
import math
import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reverb
from reverb.reverb_types import TableInfo

from distrl.checkpoints.layout import (
    Checkpoint,
    find_newest_checkpoint,
    find_scratch,
    make_scratch,
    restore_saved,
)
from distrl.checkpoints.manifest import return_freed_memory
from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.coordinator import Reporter
from distrl.replay.forms import TABLE_NAME, make_form
from distrl.system.output import say
from distrl.system.remote import is_listening
from distrl.types import EnvironmentSpec, StopSignal

# Reverb silently prefers these settings of the checkpoint to those of the program.
_SETTINGS = (
    "signature",
    "sampler_options",
    "max_size",
    "rate_limiter_info.samples_per_insert",
    "rate_limiter_info.min_size_to_sample",
)
# How long a server may take to answer that it is up.
_ANSWER_SECONDS = 5
# How long the last reading of the counts may take when the run ends.
_LAST_SECONDS = 1.0
_POLL_SECONDS = 0.05


def make_table(config: Config, spec: EnvironmentSpec) -> reverb.Table:
    """Returns a shard's empty table, with the sizes of `replay_sizes(config)`.

    For a learner that keeps the items itself, it is a queue: inserts wait while it is
    full, and each item is read once. Otherwise `uniform` draws all items with equal
    probability, `prioritized` in proportion to priority^priority_exponent (arXiv
    1511.05952); the oldest items are removed first.
    """
    sizes, signature = replay_sizes(config), make_form(config, spec).signature
    if config.replay.sampled_on != "server":
        return reverb.Table.queue(TABLE_NAME, sizes.queue, signature=signature)
    sampler = reverb.selectors.Uniform()
    if config.replay.kind == "prioritized":
        sampler = reverb.selectors.Prioritized(config.replay.priority_exponent)
    # Reverb requires at least one item before it samples.
    min_size = max(1, sizes.min_size)
    if config.replay.samples_per_insert is None:
        rate_limiter = reverb.rate_limiters.MinSize(min_size)
    else:
        rate_limiter = reverb.rate_limiters.SampleToInsertRatio(
            samples_per_insert=config.replay.samples_per_insert,
            min_size_to_sample=min_size,
            error_buffer=sizes.error_buffer,
        )
    return reverb.Table(
        name=TABLE_NAME,
        sampler=sampler,
        remover=reverb.selectors.Fifo(),
        max_size=sizes.capacity,
        rate_limiter=rate_limiter,
        signature=signature,
    )


def serve_replay(
    config: Config,
    spec: EnvironmentSpec,
    shard: int,
    address: str,
    coordinator: Any,
    stop: StopSignal,
) -> None:
    """Serves a shard of replay until `stop` is set and the learner has ended.

    A queue, from which the learner takes the items, starts empty and is not saved. It
    starts with the shard's contents in the run's newest checkpoint, if any, and ends
    after the learner, which saves it a last time. `address` is host:port; `coordinator`
    is a client of `Coordinator`, which gets its counts.

    Raises:
      RuntimeError: the port is taken, where Reverb itself would silently share it; or
        the checkpoint does not fit.
    """
    limit, port = config.launch.rpc_seconds, int(address.rpartition(":")[2])
    if is_listening(f"localhost:{port}", timeout=limit):
        raise RuntimeError(
            f"Port {port} is taken by another server: the replay server cannot "
            "start. Choose another port, or end the other server."
        )
    name = config.replay.shard_names[shard]
    reporter = Reporter(coordinator, name, config, stop)
    server = start_server(config, spec, port, shard)
    client = server.localhost_client()
    scratch = find_scratch(config.run_dir or "", name)
    saved, is_over = None, False
    # Otherwise the learner counts and saves the items.
    is_replay = config.replay.sampled_on == "server"
    try:
        while True:
            # A server that writes a checkpoint may delay even its own client.
            with contextlib.suppress(reverb.errors.DeadlineExceededError):
                seconds = math.ceil(_LAST_SECONDS if is_over else limit)
                info = client.server_info(seconds)[TABLE_NAME]
                if is_replay:
                    reporter.gauge(**_read_counts(info, config))
            reporter.send()
            # It changes when Reverb writes a checkpoint, and when that is moved away.
            with contextlib.suppress(OSError):
                if saved != (saved := scratch.stat().st_mtime_ns):
                    return_freed_memory()
            if is_over:
                break
            is_over = stop.wait(config.launch.report_seconds)
        if is_replay and config.checkpoint.save_replay:
            end = time.monotonic() + config.checkpoint.save_seconds
            while reporter.others_remain and time.monotonic() < end:
                stop.is_set()  # a sign of life
                time.sleep(_POLL_SECONDS)
                reporter.send()
    finally:
        server.stop()
    reporter.send(last=True)


def start_server(
    config: Config, spec: EnvironmentSpec, port: int, shard: int = 0
) -> reverb.Server:
    """Starts the server of a shard with its contents in the newest checkpoint.

    It starts empty without `checkpoint.save_replay`.

    Raises:
      RuntimeError: the table in the checkpoint has another signature, size, sampler or
        rate limiter, which Reverb would silently keep.
    """
    run_dir, name = config.run_dir, config.replay.shard_names[shard]
    assert run_dir is not None

    def start(checkpoint: Checkpoint | None) -> reverb.Server:
        part = None if checkpoint is None else checkpoint.find_part(name)
        # By default Reverb creates a temporary directory and leaves it behind.
        checkpointer = reverb.checkpointers.DefaultCheckpointer(
            str(make_scratch(run_dir, name)),
            fallback_checkpoint_path=None if part is None else str(part),
        )
        server = reverb.Server(
            [make_table(config, spec)], port=port, checkpointer=checkpointer
        )
        if checkpoint is None or part is None:
            return server
        try:
            _check_restored(server, make_table(config, spec).info, part)
        except Exception:
            server.stop()
            raise
        say(f"{name} continues from {checkpoint.describe()}")
        return server

    if config.replay.sampled_on != "server" or not config.checkpoint.save_replay:
        return start(None)
    return restore_saved(lambda: find_newest_checkpoint(run_dir, say), start)


def save_shard(address: str, directory: Path, is_over: Callable[[], bool]) -> None:
    """Saves a shard to `directory`; waits for a server that is being restarted.

    `directory` is created, on the disk that the server writes to. Raises RuntimeError
    if saving failed or the server did not answer before `is_over()`.
    """
    failure: object = "it does not listen"
    while True:
        try:
            # A channel opened before the port accepts backs off for seconds.
            if is_listening(address, _ANSWER_SECONDS):
                client = reverb.Client(address)
                client.server_info(_ANSWER_SECONDS)
                break
        except (RuntimeError, reverb.errors.ReverbError) as error:
            failure = error
        if is_over():
            raise RuntimeError(f"no answer from {address}: {failure}")
        time.sleep(_POLL_SECONDS)
    Path(client.checkpoint()).rename(directory)


def _read_counts(info: TableInfo, config: Config) -> dict[str, float]:
    """Returns sizes and counts in transitions; a checkpoint restores the counts."""
    limiter = info.rate_limiter_info
    items = {
        "replay_size": info.current_size,
        "inserted": limiter.insert_stats.completed,
        "sampled": limiter.sample_stats.completed,
    }
    return {name: float(x * config.replay.block_size) for name, x in items.items()}


def _check_restored(server: reverb.Server, wanted: TableInfo, part: Path) -> None:
    """Raises an error if the part was removed, or its table has other settings."""
    if not part.exists():
        # To Reverb, a missing directory is an empty replay.
        raise FileNotFoundError(f"{part} was removed while it was read")
    held = server.localhost_client().server_info()[wanted.name]
    for name in _SETTINGS:
        saved, configured = (operator.attrgetter(name)(x) for x in (held, wanted))
        if saved != configured:
            raise RuntimeError(
                f"{part} holds a replay whose {name.split('.')[-1]} is {saved}, not "
                f"{configured}, and Reverb cannot change it. Use the replay, learner "
                "and environment settings of the run that saved it, or set "
                "checkpoint.save_replay to false to start with an empty replay."
            )
