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
_WORD_BYTES = 4


def check_replay_memory(config: Config, spec: EnvironmentSpec) -> list[str]:
    """Compares the memory of a full replay with that of this machine; returns notes.

    Reverb compresses, so a replay that looks too large may still fit. The buffer of the
    serial backend is allocated at once, on the learner's first device.

    Raises:
      ConfigError: the buffer of the serial backend cannot fit.
    """
    size, capacity = count_item_bytes(config, spec), config.replay.capacity
    is_serial = config.launch.backend == "serial"
    available, total = read_memory("MemAvailable"), read_memory("MemTotal")
    if is_serial:
        stats = jax.local_devices()[0].memory_stats()
        if stats is not None:  # None of a CPU, whose memory is the machine's.
            available = total = stats["bytes_limit"]
    elif config.launch.backend == "ray":
        # Each shard may be on its own machine.
        capacity //= config.replay.shards
    needed = capacity * size
    if needed <= available:
        return []
    kind = "transitions" if config.replay.sequence_length is None else "sequences"
    where = "" if capacity == config.replay.capacity else "in each shard "
    largest = available // size * (config.replay.capacity // capacity)
    line = (
        f"replay.capacity = {config.replay.capacity}: {capacity:,} {kind} {where}of "
        f"{_show(size)} take {_show(needed)}, and {_show(available)} of memory are "
        f"available, enough for a capacity of {largest:,}"
    )
    if is_serial and needed > total:
        raise ConfigError(f"{line}. Set it to that or less.")
    compressed = "" if is_serial else " (before compression)"
    return [line + compressed]


def count_item_bytes(config: Config, spec: EnvironmentSpec) -> int:
    """Returns the bytes that an item adds to replay."""
    item = make_item_spec(config, spec)
    stack = config.replay.frame_stack
    if stack is None or config.launch.backend == "serial":
        return sum(map(_count_bytes, tree.flatten(item)))
    # Each step adds one frame; an item refers to the frames of its observations.
    frame = make_frame_spec(spec, stack)
    steps = (
        1 if config.replay.sequence_length is None else config.replay.sequence_stride
    )
    observations, rest = split_item(item)
    shown = sum(_count_bytes(each) for each in observations) // _count_bytes(frame)
    words = sum(math.prod(leaf.shape) for leaf in rest) + shown
    return steps * _count_bytes(frame) + words * _WORD_BYTES


def _count_bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize


def _show(size: float) -> str:
    if size >= _GIB / 10:
        return f"{size / _GIB:,.1f} GiB"
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 / 10 else f"{size:,} bytes"
