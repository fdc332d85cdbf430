"""A check before the start: whether replay can fit in memory."""

import math
from typing import Any

import jax
import numpy as np
import tree

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.items import make_frame_spec, make_item_spec, split_item
from distrl.system.machine import read_memory
from distrl.types import EnvironmentSpec

_GIB = 2**30
_REFERENCE_BYTES = 4


def check_replay_memory(config: Config, spec: EnvironmentSpec) -> list[str]:
    """Compares the memory of a full replay with that of this machine; returns notes.

    Reverb compresses, so a replay that looks too large may still fit. The buffer of the
    serial backend is allocated at once, on the learner's first device.

    Raises:
      ConfigError: the buffer of the serial backend cannot fit.
    """
    backend, capacity = config.launch.backend, config.replay.capacity
    available, total = read_memory("MemAvailable"), read_memory("MemTotal")
    where, compression = "", " before compression"
    if backend == "serial":
        compression = ""
        stats = jax.local_devices()[0].memory_stats()
        if stats is not None:  # None of a CPU, whose memory is the machine's.
            available = total = stats["bytes_limit"]
    elif backend == "ray" and config.replay.shards > 1:
        # Each shard may be on its own machine.
        available *= config.replay.shards
        where = f" on {config.replay.shards} machines like this one"
    size = count_item_bytes(config, spec)
    if capacity * size <= available:
        return []
    kind = "transitions" if config.replay.sequence_length is None else "sequences"
    needed = f"{capacity * size / _GIB:,.1f} GiB{compression}"
    line = (
        f"replay.capacity = {capacity}: {kind} of {size:,} bytes take {needed}, and "
        f"{available / _GIB:,.1f} GiB of memory are available{where}, enough for a "
        f"capacity of {available // size:,}"
    )
    if backend == "serial" and capacity * size > total:
        raise ConfigError(f"{line}. Set it to that or less.")
    return [line]


def count_item_bytes(config: Config, spec: EnvironmentSpec) -> int:
    """Returns the bytes that an item adds to replay."""
    item, replay = make_item_spec(config, spec), config.replay
    if replay.frame_stack is None or config.launch.backend == "serial":
        return _count_bytes(item)
    # Each step adds one frame; an item refers to the frames of its observations.
    frame = _count_bytes(make_frame_spec(spec, replay.frame_stack))
    steps = 1 if replay.sequence_length is None else replay.sequence_stride
    observations, rest = split_item(item)
    references = _count_bytes(observations) // frame
    return steps * frame + references * _REFERENCE_BYTES + _count_bytes(rest)


def _count_bytes(spec: Any) -> int:
    leaves = tree.flatten(spec)
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in leaves)
