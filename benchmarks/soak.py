"""Trains Catch while random nodes are killed: does it survive, and does anything grow?

First each node is killed once, so that nodes which continued from a checkpoint are
compared with such nodes. Then, for `--minutes`, a random node gets SIGKILL every
`--period` seconds. After each part, private dirty memory and open files of each node
are measured at the end of a calm time, in which some checkpoints are made and the
content of replay is replaced twice, since the allocator keeps the most that either
needs.

`make bench-soak` runs it. The exit code is 0 only if the run ended `done`, its last
evaluation solved Catch, nothing grew by more than a tenth (or, for a node, by more than
two of its incarnations differ), only killed nodes were restarted, and no kill cost more
learning than two periods between checkpoints. Otherwise the run directory is kept.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.command import end_on_sigterm, start_distrl
from benchmarks.memory import read_private_dirty
from benchmarks.record import Record, make_parser, median
from distrl.checkpoints.layout import list_checkpoints
from distrl.config import load_config
from distrl.telemetry.status import read_status

_SOLVED = 0.95
_GROWTH = 0.10
# In periods between checkpoints: a node may be killed while one is made.
_LONGEST_LOSS = 2.0
# How often the content of replay is replaced in a calm time.
_TURNOVERS = 2.0
# A learner's memory varies with the superbatches in flight.
_MEASUREMENTS = 7
_MEASURE_SECONDS = 3.0
# The limit for restarting a node.
_RESTART_SECONDS = 60.0
# To start, make a checkpoint, kill each node once, and measure twice.
_OTHER_SECONDS = 200.0
# Less growth is noise: a page of the allocator, a new connection.
_SMALLEST_GROWTH = {"MiB": 2.0, "files": 4}
# By which incarnations of a node differ; the front and the host have only one.
_LIVES_DIFFER_MIB = 10.0
_UNKILLED = ("front", "host")


def read_nodes(run_dir: Path) -> dict[str, int]:
    """Returns the pid of each node of a run, by its name."""
    nodes = json.loads((run_dir / "program.json").read_text())["nodes"]
    return {node["name"]: node["pid"] for node in nodes if node["state"] == "running"}


def measure(run_dir: Path, front: int) -> dict[str, dict[str, float]]:
    """Returns private memory and open files of every process, by its name."""
    pids = {**read_nodes(run_dir), "front": front}
    (guard,) = psutil.Process(front).children()
    (host,) = guard.children()
    pids["host"] = host.pid
    measured = {}
    for name, pid in pids.items():
        measured[name] = {
            "MiB": read_private_dirty(pid),
            "files": psutil.Process(pid).num_fds(),
        }
    return measured


def measure_warm(
    run_dir: Path, front: int, calm_seconds: float
) -> tuple[dict[str, dict[str, float]], int]:
    """Returns medians of measurements after a calm time, and its env_steps."""
    begun = count_env_steps(run_dir)
    time.sleep(calm_seconds)
    steps = count_env_steps(run_dir) - begun
    taken = []
    for _ in range(_MEASUREMENTS):
        taken.append(measure(run_dir, front))
        time.sleep(_MEASURE_SECONDS)
    medians = {
        name: {unit: median([each[name][unit] for each in taken]) for unit in units}
        for name, units in taken[0].items()
    }
    return medians, steps


def count_env_steps(run_dir: Path) -> int:
    """Returns the env_steps that a run has reported."""
    status = read_status(run_dir)
    return 0 if status is None else status.env_steps


def kill_each(run_dir: Path, period: float) -> int:
    """Kills every node once, one every `period` seconds; returns their number."""
    names = sorted(read_nodes(run_dir))
    for name in names:
        deadline = time.monotonic() + _RESTART_SECONDS
        while name not in (nodes := read_nodes(run_dir)):
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} was not restarted; the run is in {run_dir}")
            time.sleep(0.1)
        os.kill(nodes[name], signal.SIGKILL)
        print(f"warming up: SIGKILL {name}", flush=True)
        time.sleep(period)
    return len(names)


def kill_at_random(run_dir: Path, seconds: float, period: float, seed: int) -> int:
    """Kills a random node every `period` seconds; returns the number of kills."""
    draw = random.Random(seed)
    end = time.monotonic() + seconds
    kills = 0
    while time.monotonic() < end:
        nodes = read_nodes(run_dir)
        if nodes:
            name = draw.choice(sorted(nodes))
            try:
                os.kill(nodes[name], signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills += 1
            print(f"{seconds - (end - time.monotonic()):6.1f} s  SIGKILL {name}")
            sys.stdout.flush()
        time.sleep(period)
    return kills


def list_growth(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> list[dict[str, object]]:
    """Returns a row for each process that was measured twice."""
    rows: list[dict[str, object]] = []
    for name in sorted(before.keys() & after.keys()):
        row: dict[str, object] = {"process": name}
        for unit, smallest in _SMALLEST_GROWTH.items():
            if unit == "MiB" and name not in _UNKILLED:
                smallest = _LIVES_DIFFER_MIB
            then, now = before[name][unit], after[name][unit]
            row |= {f"{unit} before": then, f"{unit} after": now}
            row[f"{unit} grew"] = now - then > max(_GROWTH * then, smallest)
        rows.append(row)
    return rows


def find_longest_loss(rows: Sequence[Mapping[str, str]]) -> float:
    """Returns the most seconds of learning that a kill cost.

    Args:
      rows: of coordinator.csv. Where learner_steps decrease, everything learned since
        they were last as low is lost.
    """
    longest = 0.0
    kept: list[tuple[float, int]] = []
    for row in rows:
        seconds, steps = float(row["seconds"]), int(row["learner_steps"])
        if kept and steps < kept[-1][1]:
            lost_at = kept[-1][0]
            while kept and kept[-1][1] > steps:
                kept.pop()
            longest = max(longest, lost_at - (kept[-1][0] if kept else 0.0))
        kept.append((seconds, steps))
    return longest


def read_rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Prints the kills, a row per process, and how the run ended."""
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--period", type=float, default=10.0)
    parser.add_argument("--calm", type=float, default=150.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", default="configs/catch.yaml")
    options, flags = parser.parse_known_args()
    end_on_sigterm()
    record = Record(options.json)
    run_dir = Path(tempfile.mkdtemp(prefix="soak-")) / "run"
    seconds = 60 * options.minutes + 2 * options.calm + _OTHER_SECONDS
    arguments = [
        *("train", options.config),
        *(f"--run_dir={run_dir}", f"--stop.seconds={seconds}"),
        *("--stop.env_steps=null", "--stop.evaluation_return=null"),
        *("--launch.max_restarts=10", "--checkpoint.period_seconds=20"),
        *("--launch.metrics_seconds=0.25", "--json", *flags),
    ]
    metrics = run_dir / "metrics"
    with start_distrl(arguments, stdout=subprocess.PIPE, text=True) as command:
        # Nodes can continue only once there is a checkpoint.
        while not list_checkpoints(run_dir) and command.poll() is None:
            time.sleep(0.1)
        kills = kill_each(run_dir, options.period)
        before, steps_before = measure_warm(run_dir, command.pid, options.calm)
        kills += kill_at_random(
            run_dir, 60 * options.minutes, options.period, options.seed
        )
        after, steps_after = measure_warm(run_dir, command.pid, options.calm)
        answer, _ = command.communicate()
    result = json.loads(answer)
    returns = [
        float(row["mean_return"]) for row in read_rows(metrics / "evaluator.csv")
    ]
    loss = find_longest_loss(read_rows(metrics / "coordinator.csv"))
    config = load_config(str(run_dir / "config.yaml"), {})
    rows = list_growth(before, after)
    record.add_table(rows)
    restarts = sum(result["restarts"].values())
    period = config.checkpoint.period_seconds
    assert period is not None
    capacity = config.replay.capacity
    outcome = {
        "status": result["status"],
        "exit code": command.returncode,
        "last return": returns[-1],
        "kills": kills,
        "restarts": restarts,
        "env_steps": result["env_steps"],
        "learner_steps": result["learner_steps"],
        "longest loss, s of learning": loss,
        "checkpoint period, s": period,
        "env_steps in calm times": min(steps_before, steps_after),
        "replay capacity": capacity,
    }
    record.add_table(
        [{"outcome": name, "value": value} for name, value in outcome.items()]
    )
    is_warm = min(steps_before, steps_after) >= _TURNOVERS * capacity
    if not is_warm:
        print("too little of replay was replaced to compare memory; increase --calm")
    grew = any(row[f"{unit} grew"] for row in rows for unit in _SMALLEST_GROWTH)
    survived = result["status"] == "done" and returns[-1] >= _SOLVED
    survived = survived and loss <= _LONGEST_LOSS * period and restarts == kills
    if not (survived and is_warm) or grew:
        print(f"failed; the run is in {run_dir}")
        raise SystemExit(1)
    shutil.rmtree(run_dir.parent)


if __name__ == "__main__":
    main()
