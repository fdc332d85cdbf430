"""distrl: distributed actor-learner Q-learning on JAX, Reverb and Launchpad.

from distrl import load_config, run
outcome = run(load_config("configs/catch.yaml"))
"""

# Not from typing: a typing.py in the working directory would shadow it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Config",
    "ConfigError",
    "Outcome",
    "load_config",
    "load_policy",
    "load_run",
    "run",
]

_HOMES = {
    "Config": "distrl.config",
    "ConfigError": "distrl.errors",
    "Outcome": "distrl.launch",
    "load_config": "distrl.config",
    "load_policy": "distrl.evaluation.loaded_policy",
    "load_run": "distrl.config",
    "run": "distrl.launch",
}


def __getattr__(name: str) -> "Any":
    """Imports a public name on first use, which keeps `import distrl` fast."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'distrl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
