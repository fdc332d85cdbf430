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
from distrl.replay.forms import TABLE_NAME
from distrl.replay.frames import make_form
from distrl.system.output import say
from distrl.system.remote import is_listening
from distrl.types import EnvironmentSpec, StopSignal

# Reverb's default creates a temporary directory at each start and leaves it behind.
_NOWHERE = "/dev/null/replay"
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
_RETRY_SECONDS = 0.1
# How long the last reading of the gauges may take when the run ends.
_LAST_SECONDS = 1.0
_SLICE_SECONDS = 0.05


def make_table(config: Config, spec: EnvironmentSpec) -> reverb.Table:
    """Returns a shard's empty table, with the sizes of `replay_sizes(config)`.

    `uniform` draws all items with equal probability, `prioritized` in proportion to
    priority^priority_exponent (arXiv 1511.05952); the oldest items are removed first.
    """
    sizes = replay_sizes(config)
    if config.replay.kind == "prioritized":
        sampler = reverb.selectors.Prioritized(config.replay.priority_exponent)
    else:
        sampler = reverb.selectors.Uniform()
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
        signature=make_form(config, spec).signature,
    )


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


def start_server(
    config: Config, spec: EnvironmentSpec, port: int, shard: int = 0
) -> reverb.Server:
    """Starts the server of a shard with its contents in the newest checkpoint.

    It starts empty without `run_dir` or `checkpoint.save_replay`.

    Raises:
      RuntimeError: the table in the checkpoint has another signature, size, sampler or
        rate limiter, which Reverb would silently keep.
    """
    run_dir = config.run_dir
    if run_dir is None or not config.checkpoint.save_replay:
        nowhere = reverb.checkpointers.DefaultCheckpointer(_NOWHERE)
        return reverb.Server(
            [make_table(config, spec)], port=port, checkpointer=nowhere
        )
    name = config.replay.shard_names[shard]

    def start(checkpoint: Checkpoint | None) -> reverb.Server:
        part = None if checkpoint is None else checkpoint.find_part(name)
        checkpointer = reverb.checkpointers.DefaultCheckpointer(
            str(make_scratch(run_dir, name)),
            fallback_checkpoint_path=None if part is None else str(part),
        )
        server = reverb.Server(
            [make_table(config, spec)], port=port, checkpointer=checkpointer
        )
        if part is not None and not part.exists():
            # To Reverb, a missing directory is an empty replay.
            server.stop()
            raise FileNotFoundError(f"{part} was removed while it was read")
        if checkpoint is not None and part is not None:
            _check_settings(server, make_table(config, spec).info, part)
            say(f"{name} continues from {checkpoint.describe()}")
        return server

    return restore_saved(lambda: find_newest_checkpoint(run_dir, say), start)


def save_shard(address: str, directory: Path, is_over: Callable[[], bool]) -> None:
    """Saves a shard to `directory`; waits for a server that is being restarted.

    `directory` is created, on the disk that the server writes to. Raises RuntimeError
    if saving failed or the server did not answer before `is_over()`.
    """
    while True:
        # A channel opened before the port accepts connections backs off for seconds.
        if is_listening(address, _ANSWER_SECONDS):
            client = reverb.Client(address)
            try:
                client.server_info(_ANSWER_SECONDS)
                break
            except (RuntimeError, reverb.errors.ReverbError) as error:
                failure = str(error)
        else:
            failure = "it does not listen"
        if is_over():
            raise RuntimeError(f"no answer from {address}: {failure}")
        time.sleep(_RETRY_SECONDS)
    Path(client.checkpoint()).rename(directory)


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


def _check_settings(server: reverb.Server, wanted: TableInfo, part: Path) -> None:
    """Stops the server and raises RuntimeError if its table has other settings."""
    held = server.localhost_client().server_info()[wanted.name]
    for name in _SETTINGS:
        saved, configured = (operator.attrgetter(name)(x) for x in (held, wanted))
        if saved != configured:
            server.stop()
            raise RuntimeError(
                f"{part} holds a replay whose {name.split('.')[-1]} is {saved}, not "
                f"{configured}, and Reverb cannot change it. Use the replay, learner "
                "and environment settings of the run that saved it, or set "
                "checkpoint.save_replay to false to start with an empty replay."
            )


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
