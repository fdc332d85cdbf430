"""Catch while random nodes are killed: does it survive, and does anything grow?

A run of the whole program lasts for `--minutes`. Every `--period` seconds SIGKILL
hits a node drawn from the seed. Before that each node is killed once, so that nodes
which continued from a checkpoint are compared with such nodes. After either a calm time
lets them warm up: in it some checkpoints are made, and all that replay holds is
replaced twice, since the allocator keeps what either needs at most; then private dirty
memory and open files of each are measured. `make bench-soak` runs it; the exit code is
0 only if the run ended `done`, its last evaluation solved Catch, nothing grew by more
than a tenth (or, in a node, than two lives of it differ by), nothing was restarted
that was not killed, and no kill cost more learning than two periods between
checkpoints. Otherwise the run directory is kept.
"""

import argparse
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
from benchmarks.record import median, print_record, print_table
from distrl.checkpoints.layout import list_checkpoints
from distrl.config import load_config
from distrl.telemetry.status import read_status

_SOLVED = 0.95
_GROWTH = 0.10
# In periods between checkpoints: kills may come while one is made.
_LONGEST_LOSS = 2.0
# How often replay is replaced in a calm time.
_TURNOVERS = 2.0
# A learner's memory goes up and down with the superbatches on their way.
_MEASUREMENTS = 7
_MEASURE_SECONDS = 3.0
# In which a node is restarted; more is a failure.
_RESTART_SECONDS = 60.0
# To start, to make a checkpoint, to kill each node once, and to measure twice.
_OTHER_SECONDS = 200.0
# Below these a tenth is noise: an allocator's page, a connection that just opened.
_SMALLEST_GROWTH = {"MiB": 2.0, "files": 4}
# By which lives of a node that was killed differ; front and host have one life.
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
    """Returns the medians of measurements after a calm time, and its env_steps."""
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
    """Kills every node once, one each `period` seconds; returns how many there are."""
    names = sorted(read_nodes(run_dir))
    for name in names:
        deadline = time.monotonic() + _RESTART_SECONDS
        while name not in (nodes := read_nodes(run_dir)):
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} is not there; the run is in {run_dir}")
            time.sleep(0.1)
        os.kill(nodes[name], signal.SIGKILL)
        print(f"warming up: SIGKILL {name}", flush=True)
        time.sleep(period)
    return len(names)


def kill_at_random(run_dir: Path, seconds: float, period: float, seed: int) -> int:
    """Kills a random node every `period` seconds; returns how many it killed."""
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
      rows: of coordinator.csv. Where learner_steps fall, what was learned since they
        were last as few is lost.
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
    """Prints the kills, a row a process, and how the run ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--period", type=float, default=10.0)
    parser.add_argument("--calm", type=float, default=150.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", default="configs/catch.yaml")
    options, flags = parser.parse_known_args()
    end_on_sigterm()
    print_record()
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
        # Trained and checkpointed, so that there is something to go on from.
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
    print_table(rows)
    restarts = sum(result["restarts"].values())
    print(
        f"{result['status']} ({result['reason']}), exit code {command.returncode}: "
        f"last return {returns[-1]:.2f}, {kills} kills, {restarts} restarts, "
        f"{result['env_steps']:,} env_steps, {result['learner_steps']:,} learner_steps"
    )
    period = config.checkpoint.period_seconds
    assert period is not None
    capacity = config.replay.capacity
    print(
        f"the longest loss was {loss:.0f} s of learning; a checkpoint is due each "
        f"{period:.0f} s"
    )
    print(
        f"env_steps in the calm times: {steps_before:,} and {steps_after:,}; replay "
        f"holds {capacity:,}"
    )
    is_warm = min(steps_before, steps_after) >= _TURNOVERS * capacity
    if not is_warm:
        print("replay was not replaced: its memory cannot be compared; wait --calm")
    grew = any(row[f"{unit} grew"] for row in rows for unit in _SMALLEST_GROWTH)
    survived = result["status"] == "done" and returns[-1] >= _SOLVED
    survived = survived and loss <= _LONGEST_LOSS * period and restarts == kills
    if not (survived and is_warm) or grew:
        print(f"failed; the run is in {run_dir}")
        raise SystemExit(1)
    shutil.rmtree(run_dir.parent)


if __name__ == "__main__":
    main()
