"""Sweeps: one run for each id of bsuite, each in its own process."""
