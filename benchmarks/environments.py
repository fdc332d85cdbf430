"""The actor compared with a bare loop: Catch, CartPole and Pong, for several E.

The bare loop steps E environments with the same jitted policy and stores nothing. The
actor is the distributed program's: it makes transitions, writes them to a replay server
whose rate limiter never blocks, fetches parameters and reports. The last table measures
environments without a policy, in other processes. `make bench-environments` runs it.
"""

import functools
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.actor import make_program
from benchmarks.bare_loop import run_bare_loop
from benchmarks.command import end_on_sigterm
from benchmarks.program import measure_rate
from benchmarks.record import Record, make_parser, median
from distrl.config import Config, load_config

CONFIGS = Path(__file__).parents[1] / "configs"
# A file of configs/, and changes to it.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Catch": ("catch.yaml", {}),
    "CartPole": ("catch.yaml", {"environment": "gym:CartPole-v1"}),
    # A larger network, windows of 3 steps, blocks of 8 instead of 32.
    "cartpole.yaml": ("cartpole.yaml", {}),
    "Pong": ("pong.yaml", {}),
}
CHANGES = {
    "actor.count": 1,
    # Both loops act in the same way, however long they run.
    "actor.exploration.schedule": "fixed",
    "actor.exploration.epsilon": 0.05,
    "replay.samples_per_insert": None,
    "replay.error_buffer": None,
    # Two frames of Pong are 56 kB.
    "replay.capacity": 4_000,
    "replay.min_size": 1_000,
}
SIZES = (1, 8, 32)
IN_PROCESSES = ("bsuite:catch/0", "gym:CartPole-v1", "gym:LunarLander-v3")


def make_config(name: str, size: int) -> Config:
    """Returns the configuration of a case with one actor of `size` environments."""
    file, changes = CASES[name]
    changes = {**CHANGES, **changes, "actor.environments": size}
    return load_config(str(CONFIGS / file), changes)


def measure_processes(
    uri: str, size: int, processes: int, seconds: float
) -> tuple[float, float]:
    """Returns env steps per second without a policy, and the largest process's MiB."""
    import numpy as np

    from distrl.environments import SyncEnvironment, make_environment, read_spec
    from distrl.environments.worker_processes import ProcessEnvironment

    spec = read_spec(uri, {})
    builders = [functools.partial(make_environment, uri, {}, i) for i in range(size)]
    if processes:
        vector: Any = ProcessEnvironment(builders, processes, spec, 5.0)
    else:
        vector = SyncEnvironment([build() for build in builders], spec)
    random = np.random.RandomState(0)
    vector.reset()
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        vector.step(random.randint(spec.num_actions, size=size))
        steps += size
    rate = steps / (time.perf_counter() - started)
    sizes = [child.memory_full_info().uss for child in psutil.Process().children()]
    vector.close()
    return rate, max(sizes, default=0) / 2**20


def main() -> None:
    """Prints the tables."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    options = parser.parse_args()
    seconds = options.seconds
    end_on_sigterm()
    record = Record(options.json)
    cases = [(name, size) for name in options.only for size in options.sizes]
    bare: dict[Any, list[float]] = {case: [] for case in cases}
    actor: dict[Any, list[float]] = {case: [] for case in cases}
    for _ in range(options.repetitions):
        for case in cases:
            config = make_config(*case)
            bare[case].append(run_bare_loop(config, seconds))
            rate = measure_rate(config, "env_steps", seconds, make_program)
            actor[case].append(rate)
    record.add_table(
        [
            {
                "environment": name,
                "E": size,
                "bare env steps/s": median(bare[name, size]),
                "actor's": median(actor[name, size]),
                "ratio": median(actor[name, size]) / median(bare[name, size]),
            }
            for name, size in cases
        ]
    )
    rows = []
    for uri in IN_PROCESSES:
        rates: dict[int, list[tuple[float, float]]] = {0: [], 1: [], 2: []}
        for _ in range(options.repetitions):
            for processes, measured in rates.items():
                measured.append(measure_processes(uri, 32, processes, seconds / 5))
        own = median([rate for rate, _ in rates[0]])
        for processes, measured in rates.items():
            rate = median([rate for rate, _ in measured])
            rows.append(
                {
                    "32 environments": uri,
                    "processes": processes,
                    "env steps/s": rate,
                    "of without": rate / own,
                    "MiB each": max(size for _, size in measured),
                }
            )
    record.add_table(rows)


if __name__ == "__main__":
    main()
