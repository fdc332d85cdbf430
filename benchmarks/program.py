"""Runs a distrl program for a while and measures it from its own metrics."""

import csv
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distrl.config import Config, StopConfig
from distrl.launch import run
from distrl.telemetry.progress import Progress


def measure_rate(
    config: Config,
    column: str,
    seconds: float,
    program: str | Callable[..., Any] = "distrl.program:make_program",
) -> float:
    """Returns how much a count grows per second, in the steady part of a run.

    Args:
      config: its stop condition and run_dir are replaced.
      column: `env_steps` or `learner_steps`.
      seconds: how long to measure.
      program: what to run.
    """
    rows = run_and_read(config, seconds, program)
    counted = [(float(row["seconds"]), float(row[column])) for row in rows]
    begun = next((time for time, count in counted if count > 0), None)
    if begun is None:
        raise SystemExit("nothing was counted: use more --seconds")
    # In the first fifth, caches fill and compilations end.
    steady = [row for row in counted if row[0] >= begun + seconds / 5]
    if len(steady) < 2:
        raise SystemExit("it began to count too late: use more --seconds")
    (first, low), (last, high) = steady[0], steady[-1]
    return (high - low) / (last - first)


def run_and_read(
    config: Config, seconds: float, program: str | Callable[..., Any]
) -> list[dict[str, str]]:
    """Runs `program` for `seconds` after its start and returns the status rows."""
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory) / "run"
        # Nodes compile for a few seconds before they do anything that counts.
        stop = StopConfig(seconds=seconds + 6.0)
        launch = dataclasses.replace(config.launch, metrics_seconds=0.25)
        config = dataclasses.replace(
            config, run_dir=str(run_dir), stop=stop, launch=launch
        )
        with open("/dev/null", "w") as nowhere:
            progress = Progress(stream=nowhere)
            outcome = run(config, program=program, progress=progress)
        if outcome.exit_code != 0:
            raise SystemExit(f"the run failed: {outcome.result['error']}")
        with open(run_dir / "metrics" / "coordinator.csv", newline="") as file:
            return list(csv.DictReader(file))
