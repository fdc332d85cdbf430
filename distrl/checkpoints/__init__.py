"""Checkpoints and best parameters of a run on disk, for resume and evaluation."""

from distrl.checkpoints.best import Best, find_best

__all__ = ["Best", "find_best"]
