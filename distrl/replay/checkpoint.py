"""Checkpoints of a replay shard: written by Reverb, put in place by a rename.

A Reverb server keeps only its newest checkpoint, in a directory whose name it chooses.
So it writes into a hidden directory, from which the learner moves the result into the
run's checkpoint.
"""

import operator
import time
from collections.abc import Callable
from pathlib import Path

import reverb
from reverb.reverb_types import TableInfo

from distrl.checkpoints.layout import Checkpoint, make_scratch, restore_newest
from distrl.config.schema import Config
from distrl.replay.tables import make_table
from distrl.system.output import say
from distrl.system.remote import is_listening
from distrl.types import EnvironmentSpec

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

    return restore_newest(run_dir, start, say)


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
