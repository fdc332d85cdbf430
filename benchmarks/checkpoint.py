"""How long a checkpoint pauses the learner's loop, sampling and inserting.

The learner copies its state to the host between two updates, and a thread does the
rest. Reverb saves while it serves. `make bench-checkpoint` runs it.
"""

import contextlib
import io
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.learner_cases import make_items
from benchmarks.record import Record, make_parser, median
from benchmarks.replay_process import ReplayProcess
from distrl.config import Config, NetworkConfig, ReplayConfig
from distrl.learner.devices import first_replica, replicate

NETWORKS = {
    "mlp 128-128": [128, 128],
    "20M parameters": [4096, 4096, 768],
}


def measure_learner(hidden_sizes: list[int], repetitions: int) -> dict[str, Any]:
    """Returns the milliseconds of copying, of writing and of restoring."""
    import jax

    from distrl.agents import make_agent
    from distrl.checkpoints.layout import (
        RunProgress,
        complete_checkpoint,
        find_newest_checkpoint,
    )
    from distrl.environments import read_spec
    from distrl.learner.checkpoint import restore_state, save_train_state
    from distrl.learner.optimizer import make_optimizer
    from distrl.learner.state import init_state

    config = Config(network=NetworkConfig("mlp", {"hidden_sizes": hidden_sizes}))
    spec = read_spec("bsuite:catch/0", {})
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    initial = init_state(agent, optimizer, jax.random.PRNGKey(0))
    state = jax.block_until_ready(replicate(initial, jax.local_devices()[:1]))
    times: dict[str, list[float]] = {"copy": [], "write": [], "restore": []}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(1, repetitions + 2):
            name = f"{number:06d}"
            copy = timed(times["copy"], lambda: first_replica(state))

            def save(copy: Any = copy, name: str = name) -> None:
                save_train_state(directory, name, copy, 0)
                complete_checkpoint(directory, name, RunProgress(), 1)

            def restore() -> None:
                find_newest_checkpoint(directory, print, verify=True)
                restore_state(directory, initial)

            timed(times["write"], save)
            timed(times["restore"], restore)
        files = [file for file in Path(directory).rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / 2**20
    parameters = sum(leaf.size for leaf in jax.tree.leaves(initial.params))
    return {
        "parameters": parameters,
        # The first one fills caches.
        "the loop stands still, ms": median(times["copy"][1:]),
        "written in a thread, ms": median(times["write"][1:]),
        "restored and checked, ms": median(times["restore"][1:]),
        "MiB on disk": size,
    }


def timed(times: list[float], function: Callable[[], Any]) -> Any:
    """Calls a function, appends its milliseconds, and returns its result."""
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = function()
    times.append(1000 * (time.perf_counter() - started))
    return result


def make_config(run_dir: str, block: int, size: int) -> Config:
    """Returns the configuration of a replay that holds `size` transitions."""
    return Config(
        run_dir=run_dir,
        environment="bsuite:catch/0",
        replay=ReplayConfig(
            capacity=2 * size,
            min_size=1,
            samples_per_insert=None,
            sampled_on="server",
            transitions_per_item=block,
        ),
    )


class Worker:
    """Calls a function repeatedly in a thread, and keeps the longest time of a call."""

    def __init__(self, function: Callable[[], Any]):
        """Starts the thread."""
        self.longest = 0.0
        self.calls = 0
        self._function = function
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Forgets the longest time so far."""
        self.longest, self.calls = 0.0, 0

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ended.is_set():
            started = time.perf_counter()
            self._function()
            self.longest = max(self.longest, time.perf_counter() - started)
            self.calls += 1


def measure_replay(block: int, size: int, repetitions: int) -> dict[str, Any]:
    """Returns how long saving takes, and the longest waits with and without it."""
    from distrl.config.replay_sizes import replay_sizes
    from distrl.environments import read_spec
    from distrl.replay import BlockWriter, ReplaySampler

    spec = read_spec("bsuite:catch/0", {})
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.closing(
            ReplayProcess(config := make_config(directory, block, size))
        ) as replay,
    ):
        never = threading.Event()
        writer = BlockWriter(replay.address, config, spec, 0, never)
        batch = make_items(config, spec, 256, 0)
        for number in range(-(-size // 256)):
            writer.write(make_items(config, spec, 256, number))
        share = replay_sizes(config).share
        sampler = ReplaySampler(replay.address, config, spec, share)
        assert sampler.read() is not None
        sampling = Worker(sampler.read)

        def insert() -> None:
            # As fast as a few actors, so that the content of the table hardly changes.
            time.sleep(0.05)
            started = time.perf_counter()
            writer.write(batch)
            inserts.append(time.perf_counter() - started)

        inserts: list[float] = []
        inserting = Worker(insert)
        quiet, busy, saved, written = [], [], [], []
        for _ in range(repetitions):
            sampling.forget()
            time.sleep(2.0)
            quiet.append(sampling.longest)
            sampling.forget()
            inserts.clear()
            saved.append(replay.save())
            busy.append(sampling.longest)
            written.append(max(inserts, default=0.0))
        inserting.close()
        sampling.close()
    return {
        "transitions": size,
        "transitions_per_item": block,
        "saved in, s": median([seconds for seconds, _ in saved]),
        "MiB on disk": median([bytes_ for _, bytes_ in saved]) / 2**20,
        "longest read, s": median(busy),
        "without saving, s": median(quiet),
        "longest insert, s": median(written),
    }


def main() -> None:
    """Prints both tables."""
    parser = make_parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--transitions", type=int, default=100_000)
    options = parser.parse_args()
    record = Record(options.json)
    rows = [
        {"network": name, **measure_learner(sizes, options.repetitions)}
        for name, sizes in NETWORKS.items()
    ]
    record.add_table(rows)
    record.add_table(
        [
            measure_replay(block, options.transitions, options.repetitions)
            for block in (32, 1)
        ]
    )


if __name__ == "__main__":
    main()
