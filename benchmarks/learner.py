"""Updates per second of a learner that is fed, compared with a batch in place.

"In place" repeats the same update on one superbatch that is on the device. "server"
reads superbatches that the replay server draws from items that were written before.
"learner" keeps the items on its devices while a node writes blocks of them all the
time, as many as `--samples-per-insert` asks for. `make bench-learner` runs it. Ratios
are taken in one run.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.command import end_on_sigterm
from benchmarks.learner_cases import CASES, make_config, make_items
from benchmarks.program import measure_rate
from benchmarks.record import Record, make_parser, median
from distrl.config import Config
from distrl.launch.devices import node_environment

# How many items a second the node writes at least, to fill replay.
_FILLED_PER_SECOND = 20_000
_BATCHES, _BATCH = 16, 128


class Row(NamedTuple):
    """A way to feed a learner."""

    case: str
    kind: str
    replay: str
    capacity: int = 100_000
    block: int | None = None
    publish_period: int = 1_000


ROWS = (
    Row("mlp 64-64", "uniform", "learner", publish_period=16),
    Row("mlp 64-64", "uniform", "learner", publish_period=10_000),
    Row("mlp 64-64", "prioritized", "learner"),
    Row("mlp 64-64", "prioritized", "learner", capacity=1_000_000),
    Row("mlp 64-64", "uniform", "server"),
    Row("mlp 64-64", "uniform", "server", block=1),
    Row("mlp 64-64", "prioritized", "server"),
    Row("conv", "uniform", "learner"),
    Row("conv", "prioritized", "learner"),
    Row("conv", "uniform", "server"),
    Row("conv", "prioritized", "server"),
    Row("rainbow catch", "prioritized", "learner"),
    Row("rainbow catch", "prioritized", "server"),
    Row("r2d2 catch", "prioritized", "learner", capacity=10_000),
    Row("r2d2 catch", "prioritized", "server", capacity=10_000),
    Row("pong frames", "uniform", "learner", capacity=20_000),
    Row("pong frames", "uniform", "server", capacity=20_000),
)


def configure(row: Row, samples_per_insert: float) -> Config:
    """Returns the configuration of a row."""
    is_server = row.replay == "server"
    return make_config(
        row.case,
        row.publish_period,
        kind=row.kind,
        sampled_on=row.replay,
        capacity=row.capacity,
        min_size=row.capacity * 9 // 10,
        transitions_per_item=row.block,
        samples_per_insert=None if is_server else samples_per_insert,
    )


def make_program(config: Config, spec: Any) -> Any:
    """Returns a program in which one node writes items instead of actors."""
    import launchpad as lp

    from distrl import program as nodes
    from distrl.learner.role import run_learner
    from distrl.variables import VariableService

    program = lp.Program("learner-benchmark")
    variables = program.add_node(lp.CourierNode(VariableService), label="variables")
    coordinator = program.add_node(
        nodes.make_coordinator_node(config), label="coordinator"
    )
    address = lp.Address("replay")
    replay = nodes.make_node(nodes.serve_replay, config, spec, 0, address, coordinator)
    address.assign(replay)
    program.add_node(replay, label="replay")
    program.add_node(lp.PyNode(write_items, config, spec, address), label="actor")
    learner = (config, spec, [address], variables, coordinator)
    program.add_node(nodes.make_node(run_learner, *learner), label="learner")
    return program


def write_items(config: Config, spec: Any, address: Any) -> None:
    """Fills replay with random items; for the learner's replay it never ends."""
    import launchpad as lp

    from distrl.replay import BlockWriter

    stop = lp.stop_event()
    writer = BlockWriter(address.resolve(), config, spec, config.seed, stop)
    batches = [make_items(config, spec, _BATCH, seed) for seed in range(_BATCHES)]
    enough = float("inf")
    if config.replay.sampled_on == "server":
        enough = config.replay.min_size + 2 * _BATCH
    written = 0
    while written < enough and not stop.is_set():
        writer.write(batches[written // _BATCH % _BATCHES])
        written += _BATCH
    stop.wait()
    writer.close()


def measure_in_place(config: Config, seconds: float) -> float:
    """Returns updates per second on one superbatch that is already on the device."""
    import jax
    import numpy as np

    from distrl.agents import make_agent
    from distrl.environments import read_spec
    from distrl.learner.devices import put_superbatch, replicate
    from distrl.learner.optimizer import make_optimizer
    from distrl.learner.state import init_state
    from distrl.learner.update import make_update

    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    devices = jax.local_devices()
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    update = make_update(agent, optimizer, config, devices)
    key = jax.random.PRNGKey(0)
    state = replicate(init_state(agent, optimizer, key), devices)
    steps = config.learner.steps_per_dispatch
    size = steps * config.learner.batch_size
    nest = (make_items(config, spec, size, 0), np.ones(size, np.float32))
    batch = put_superbatch(nest, devices, steps)
    state, _ = jax.block_until_ready(update(state, *batch))
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        state, output = update(state, *batch)
        jax.block_until_ready(output)
        count += steps
    return count / (time.perf_counter() - started)


def run_in_place(case: str, kind: str, seconds: float) -> float:
    """Runs `measure_in_place` in another process."""
    arguments = ["--in-place", case, kind, "--seconds", str(seconds)]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.learner", *arguments],
        env={**os.environ, **node_environment("learner")},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def main() -> None:
    """Prints a table per case and kind of replay."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--samples-per-insert", type=float, default=256.0)
    parser.add_argument(
        "--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME"
    )
    parser.add_argument("--in-place", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_place is not None:
        case, kind = options.in_place
        print(measure_in_place(make_config(case, kind=kind), options.seconds))
        return
    end_on_sigterm()
    record = Record(options.json)
    rows = [row for row in ROWS if row.case in options.only]
    for case, kind in dict.fromkeys((row.case, row.kind) for row in rows):
        own = [row for row in rows if (row.case, row.kind) == (case, kind)]
        record.add_table(
            compare(
                own, options.seconds, options.repetitions, options.samples_per_insert
            )
        )


def compare(
    rows: Sequence[Row], seconds: float, repetitions: int, samples_per_insert: float
) -> list[dict[str, object]]:
    """Measures rows of one case and kind, and their update in place, in turns."""
    first = Row(rows[0].case, rows[0].kind, "in place", block=0)
    rates: dict[Row, list[float]] = {row: [] for row in (first, *rows)}
    for _ in range(repetitions):
        rates[first].append(run_in_place(first.case, first.kind, seconds))
        for row in rows:
            config = configure(row, samples_per_insert)
            filling = row.capacity / _FILLED_PER_SECOND
            rate = measure_rate(
                config, "learner_steps", seconds + filling, make_program
            )
            rates[row].append(rate)
    limit = median(rates[first])
    return [
        _describe(row, samples_per_insert, median(values), limit)
        for row, values in rates.items()
    ]


def _describe(
    row: Row, samples_per_insert: float, rate: float, in_place: float
) -> dict[str, object]:
    is_fed = row.replay != "in place"
    config = make_config(row.case, kind=row.kind)
    if is_fed:
        config = configure(row, samples_per_insert)
    is_sequence = config.replay.sequence_length is not None
    return {
        "network": row.case,
        "kind": "sequence" if is_sequence else row.kind,
        "replay": row.replay,
        "capacity": row.capacity if is_fed else 0,
        "transitions_per_item": config.replay.block_size if is_fed else 0,
        "samples_per_insert": config.replay.samples_per_insert if is_fed else None,
        "publish_period": row.publish_period if is_fed else None,
        "updates_per_second": rate,
        "of_in_place": rate / in_place,
    }


if __name__ == "__main__":
    main()
