"""A shard's part of a checkpoint: Reverb writes it, beside, and it is moved in whole.

Reverb keeps only the newest of what it writes, in a directory that it names. So it
writes into a scratch directory, and what it wrote becomes the part by a rename.
"""

from collections.abc import Callable
from pathlib import Path

import reverb
from reverb.reverb_types import TableInfo

from distrl.checkpoints import Checkpoint, Part, make_scratch, restore_newest
from distrl.config.schema import Config
from distrl.node_log import say
from distrl.session import read_session

# Reverb's default makes a temporary directory at each start, and leaves it there.
_NOWHERE = "/dev/null/replay"
# What a table takes from the checkpoint and not from the program, silently.
_SETTINGS = ("signature", "sampler_options", "max_size")
_LIMITS = ("samples_per_insert", "min_size_to_sample")


def start_server(
    config: Config, make_table: Callable[[], reverb.Table], port: int, shard: int = 0
) -> reverb.Server:
    """Returns a server that holds what the newest whole checkpoint held of its shard.

    Without `run_dir` or `checkpoint.save_replay` it starts empty.

    Args:
      config: the run's configuration.
      make_table: returns the empty table. What is restored is in another one, which
        only the server knows.
      port: the port to serve at, on all interfaces.
      shard: which of `replay.shards` it is, from 0.

    Raises:
      RuntimeError: what was saved is of a table with another signature, size,
        sampler or rate limiter: Reverb would go on with those.
    """
    run_dir = config.run_dir
    if run_dir is None or not config.checkpoint.save_replay:
        nowhere = reverb.checkpointers.DefaultCheckpointer(_NOWHERE)
        return reverb.Server([make_table()], port=port, checkpointer=nowhere)
    name = config.replay.shard_names[shard]

    def start(checkpoint: Checkpoint | None) -> reverb.Server:
        part = None if checkpoint is None else checkpoint.find_part(name)
        checkpointer = reverb.checkpointers.DefaultCheckpointer(
            str(make_scratch(run_dir, name)),
            fallback_checkpoint_path=None if part is None else str(part),
        )
        server = reverb.Server([make_table()], port=port, checkpointer=checkpointer)
        if part is not None and not part.exists():
            # Reverb takes what is not there for an empty replay.
            server.stop()
            raise FileNotFoundError(f"{part} was removed while it was read")
        if checkpoint is not None and part is not None:
            _check_settings(server, make_table().info, part)
            say(f"{name} goes on from {checkpoint.describe()}")
        return server

    return restore_newest(run_dir, start, say, read_session().is_verified)


def _check_settings(server: reverb.Server, wanted: TableInfo, part: Path) -> None:
    """Ends the server and raises if it holds a table of other settings."""
    held = server.localhost_client().server_info()[wanted.name]
    pairs = {
        **{name: (getattr(held, name), getattr(wanted, name)) for name in _SETTINGS},
        **{
            name: (
                getattr(held.rate_limiter_info, name),
                getattr(wanted.rate_limiter_info, name),
            )
            for name in _LIMITS
        },
    }
    for name, (saved, configured) in pairs.items():
        if saved != configured:
            server.stop()
            raise RuntimeError(
                f"{part} holds a replay with another {name}: {saved}, and not "
                f"{configured}. Reverb cannot change it. Take the replay, learner "
                "and environment settings of the run that saved it, or set "
                "checkpoint.save_replay to false to begin with an empty replay."
            )


def take_part(server: reverb.Server) -> Part:
    """Returns what to save of the server: what it holds when the saving begins."""
    client = server.localhost_client()

    def write(directory: Path) -> None:
        Path(client.checkpoint()).rename(directory)

    return Part(None, write)
