"""Bytes per transition of Pong in replay: each frame stored once, or complete stacks.

Both store the same transitions, of one actor that plays at random with the same seeds.
`make bench-replay` runs it. Ratios are taken in one run.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.record import Record, make_parser, median
from benchmarks.replay_process import ReplayProcess
from distrl.config import Config, load_config


def make_config(run_dir: str, block: int, stack: int | None, size: int) -> Config:
    """Returns Pong's configuration, with a replay that holds all `size` transitions."""
    return load_config(
        "configs/pong.yaml",
        {
            "run_dir": run_dir,
            "replay.capacity": 2 * size,
            "replay.min_size": block,
            "replay.samples_per_insert": None,
            "replay.sampled_on": "server",
            "replay.transitions_per_item": block,
            "replay.frame_stack": stack,
        },
    )


def play(config: Config, spec: Any, size: int) -> Iterator[Any]:
    """Yields batches of transitions, `size` in all, of an actor that acts at random."""
    import numpy as np

    from distrl.actor.interaction import make_accumulator
    from distrl.environments import make_vector_environment
    from distrl.types import ActorStep

    count = config.actor.environments
    environment = make_vector_environment(config, spec, count, "actor", 0)
    accumulator, rng = make_accumulator(config), np.random.default_rng(config.seed)
    observation = environment.reset()
    for _ in range(-(-size // count)):
        action = rng.integers(0, spec.num_actions, count).astype(np.int32)
        step = environment.step(action)
        yield accumulator.add(
            ActorStep(
                observation_tm1=observation,
                action_tm1=action,
                reward_t=step.reward_t,
                discount_t=step.discount_t,
                last_t=step.last_t,
                observation_t=step.observation_t,
            )
        ).data
        observation = step.observation
    environment.close()


def measure(
    block: int, stack: int | None, size: int, seconds: float
) -> dict[str, float]:
    """Returns the figures of one way to store observations; bytes are per transition.

    Args:
      block: G, the transitions per item.
      stack: `replay.frame_stack`.
      size: the number of transitions played; the last pool is not written.
      seconds: how long to read samples.
    """
    from distrl.config.replay_sizes import replay_sizes
    from distrl.environments import read_spec
    from distrl.replay import BlockWriter, ReplaySampler

    with tempfile.TemporaryDirectory() as directory:
        config = make_config(directory, block, stack, size)
        spec = read_spec(config.environment, config.environment_args)
        with contextlib.closing(ReplayProcess(config)) as replay:
            server = psutil.Process(replay.pid)
            writer = BlockWriter(replay.address, config, spec, 0, threading.Event())
            share = replay_sizes(config).share
            sampler = ReplaySampler(replay.address, config, spec, share)
            written, writing, empty = 0, 0.0, server.memory_full_info().uss
            for batch in play(config, spec, size):
                started = time.perf_counter()
                written += writer.write(batch)
                writing += time.perf_counter() - started
            writer.close()
            held = server.memory_full_info().uss - empty
            sampled = measure_samples(sampler.read, seconds)
            _, saved = replay.save()
            unpacked, packed = read_chunks(Path(directory))
    return {
        "arrays, bytes": unpacked / written,
        "compressed": packed / written,
        "server's memory": held / written,
        "checkpoint": saved / written,
        "inserts/s": written / writing,
        "samples/s": sampled,
    }


def measure_samples(read: Callable[[], Any], seconds: float) -> float:
    """Returns the transitions per second that `read` returns."""
    while read() is None:
        pass
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        superbatch = read()
        count += 0 if superbatch is None else len(superbatch.probabilities)
    return count / (time.perf_counter() - started)


def read_chunks(directory: Path) -> tuple[int, int]:
    """Returns the bytes of all arrays in a Reverb checkpoint, raw and compressed."""
    import tensorflow as tf
    from reverb.cc import schema_pb2

    (path,) = directory.rglob("chunks.tfrecord")
    unpacked = packed = 0
    for record in tf.data.TFRecordDataset(str(path), "ZLIB").as_numpy_iterator():
        chunk = schema_pb2.ChunkData.FromString(record)
        unpacked += chunk.data_uncompressed_size
        packed += sum(len(each.tensor_content) for each in chunk.data.tensors)
    return unpacked, packed


def main() -> None:
    """Prints a table of medians for each number of transitions per item."""
    parser = make_parser(__doc__)
    parser.add_argument("--transitions", type=int, default=20_000)
    parser.add_argument("--blocks", type=int, nargs="+", default=[8, 1])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    record = Record(options.json)
    for block in options.blocks:
        runs: dict[str, list[dict[str, float]]] = {"stacks": [], "frames once": []}
        for _ in range(options.repetitions):
            for stack, way in zip((None, 4), runs, strict=True):
                runs[way].append(
                    measure(block, stack, options.transitions, options.seconds)
                )
        stacks, once = (
            {name: median([run[name] for run in each]) for name in each[0]}
            for each in runs.values()
        )
        ratio = {name: stacks[name] / once[name] for name in stacks}
        rows = {"stacks": stacks, "frames once": once, "stacks / frames once": ratio}
        record.add_table([{f"G={block}": name, **row} for name, row in rows.items()])


if __name__ == "__main__":
    main()
