"""Reproducible measurements; each module is a command."""
