"""Launches a program on this machine, watches it, and ends it.

`run(config)` is the whole of it; `distrl train` is a thin command around it.
"""

from distrl.launch.front import Outcome, run

__all__ = ["Outcome", "run"]
