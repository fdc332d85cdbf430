"""Sweeps: one run for each id of bsuite, each in its own process."""

from distrl.sweep.directory import SweepDirectory, open_sweep
from distrl.sweep.runner import SweepOutcome, check_sweep, run_sweep

__all__ = [
    "SweepDirectory",
    "SweepOutcome",
    "check_sweep",
    "open_sweep",
    "run_sweep",
]
