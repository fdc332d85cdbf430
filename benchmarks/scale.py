"""The cost of many actors, with and without relays, with one shard and several.

The environments wait in `step`, so that two cores can run many of them. `efficiency` is
the number of steps made, relative to that of environments that only wait. `make
bench-scale` runs it; `--width` makes the parameters larger.
"""

import argparse
import csv
import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.command import end_on_sigterm, start_distrl
from benchmarks.memory import read_memory
from benchmarks.record import Record, make_parser, median
from distrl.config import Config, config_to_yaml, load_config

# The learner and the evaluator, which report in addition to actors and replay.
_OTHERS = 2
_LOOK_SECONDS = 1.0
_NEVER = 10**9


class Run:
    """A `distrl train` observed from outside."""

    def __init__(self, run_dir: Path, process: subprocess.Popen, reporters: int):
        """Takes the command and the number of its nodes that report."""
        self._run_dir = run_dir
        self._process = process
        self._reporters = reporters
        self._names: dict[int, str] = {}
        self.peak_mib = 0.0
        """The largest private memory of all processes together."""

    def look(self) -> list[dict[str, str]]:
        """Measures the memory; returns the rows since all nodes act."""
        if self._process.poll() is not None:
            raise SystemExit(
                f"the run ended by itself, code {self._process.returncode}"
            )
        front = psutil.Process(self._process.pid)
        memory = read_memory(self._run_dir, self._names, front)
        self.peak_mib = max(self.peak_mib, sum(memory.values()))
        rows = self.read_rows("coordinator")
        return list(itertools.dropwhile(self._are_missing, rows))

    def read_rows(self, node: str) -> list[dict[str, str]]:
        """Returns the complete rows of a node's metrics; none if there is no file."""
        path = self._run_dir / "metrics" / f"{node}.csv"
        if not path.exists():
            return []
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if None not in row.values()]

    def _are_missing(self, row: Mapping[str, str]) -> bool:
        return int(row["nodes_alive"]) < self._reporters or int(row["env_steps"]) == 0

    def read_processor_seconds(self, node: str) -> float:
        """Returns the processor seconds that a node has used."""
        (pid,) = (pid for pid, name in self._names.items() if name == node)
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system


@contextmanager
def start_run(config: Config) -> Iterator[Run]:
    """Starts the command, and ends it."""
    with tempfile.TemporaryDirectory() as directory:
        file, run_dir = Path(directory) / "scale.yaml", Path(directory) / "run"
        file.write_text(config_to_yaml(config))
        reporters = config.actor.count + config.replay.shards + _OTHERS
        with start_distrl(
            ["train", str(file), f"--run_dir={run_dir}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            yield Run(run_dir, process, reporters)


def measure(config: Config, options: argparse.Namespace) -> dict[str, Any]:
    """Runs a configuration; returns the figures from the time when all actors act."""
    began = time.time()
    with start_run(config) as run:
        rows = run.look()
        while not rows:
            if time.time() - began > options.limit:
                raise SystemExit(
                    f"not all were acting within --limit {options.limit:g}"
                )
            time.sleep(_LOOK_SECONDS)
            rows = run.look()
        started = float(rows[0]["time"])
        time.sleep(options.seconds / 5)
        settled, before = time.time(), run.read_processor_seconds("variables")
        while time.time() < settled + options.seconds:
            time.sleep(_LOOK_SECONDS)
            rows = run.look()
        passed = time.time() - settled
        service = (run.read_processor_seconds("variables") - before) / passed
        learner = run.read_rows("learner")
        peak = run.peak_mib
    steady, updates = (
        [row for row in each if float(row["time"]) >= settled]
        for each in (rows, learner)
    )
    published = [float(row["publish_seconds"]) for row in updates]
    first, last = steady[0], steady[-1]
    made = int(last["env_steps"]) - int(first["env_steps"])
    rate = made / (float(last["time"]) - float(first["time"]))
    possible = config.actor.count / config.environment_args["wait"]
    return {
        "command to all acting, s": started - began,
        "env steps/s": rate,
        "efficiency": rate / possible,
        "MiB in all": peak,
        "behind, s": median([float(row["staleness_seconds"]) for row in steady]),
        "at most": max(float(row["staleness_seconds"]) for row in steady),
        "behind, steps": median([float(row["staleness"]) for row in steady]),
        "publish, ms": 1000 * median(published),
        "service, cores": service,
    }


def make_config(
    options: argparse.Namespace, actors: int, relays: int, shards: int
) -> Config:
    """Returns a configuration whose actors mostly wait, with little learning."""
    return load_config(
        None,
        {
            "name": "scale",
            "environment": "benchmarks.waiting:Waiting",
            "environment_args": {"wait": options.wait},
            "network.args": {"hidden_sizes": [options.width, options.width]},
            "actor.count": actors,
            "actor.environments": 1,
            "actor.fetch_seconds": options.fetch,
            "variables.relays": relays,
            "replay.shards": shards,
            "replay.transitions_per_item": 1,
            "replay.min_size": 128,
            "replay.samples_per_insert": 8.0,
            "learner.batch_size": 32,
            "learner.steps_per_dispatch": 2,
            "learner.publish_period": 2,
            "learner.metrics_period": 1,
            "evaluation.episodes": 1,
            "evaluation.environments": 1,
            "evaluation.period": _NEVER,
            "checkpoint.period_seconds": None,
            "checkpoint.save_replay": False,
            "launch.metrics_seconds": 0.25,
        },
    )


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = make_parser(__doc__)
    counts: Mapping[str, list[int]] = {
        "actors": [1, 4, 16, 64, 128],
        "relays": [0, 4],
        "shards": [1, 2, 4],
    }
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, nargs="+", default=default)
    parser.add_argument("--wait", type=float, default=0.1, help="seconds per step")
    parser.add_argument(
        "--fetch", type=float, default=0.1, help="seconds between an actor's fetches"
    )
    parser.add_argument("--width", type=int, default=256, help="size of the two layers")
    parser.add_argument("--seconds", type=float, default=20.0, help="to measure")
    parser.add_argument(
        "--limit", type=float, default=300.0, help="seconds for the start"
    )
    return parser.parse_args()


def main() -> None:
    """Prints a table per number of relays and shards, a row per number of actors."""
    options = parse_options()
    end_on_sigterm()
    record = Record(options.json)
    for shards in options.shards:
        for relays in options.relays:
            # Every relay has an actor, and all shards have the same number.
            counts = [n for n in options.actors if n >= relays and n % shards == 0]
            if not counts:
                continue
            rows = []
            for actors in counts:
                config = make_config(options, actors, relays, shards)
                sizes = {"shards": shards, "relays": relays, "actors": actors}
                rows.append(sizes | measure(config, options))
            record.add_table(rows)


if __name__ == "__main__":
    main()
