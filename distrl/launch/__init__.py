"""The launcher: runs a program, watches it, and ends it.

Use `run(config)`; `distrl train` is a thin command around it.
"""

from distrl.launch.front import Outcome, run

__all__ = ["Outcome", "run"]
