"""RUN_DIR/spec.json: the environment, network and optimizer of a run, and its origin.

{"environment": {"observation['map']": "float32 [2, 2]", "num_actions": "3"},
 "bounds": {"observation['map']": "0.0 to 1.0"},
 "network": {"params.mlp/linear_0.w": "float32 [4, 64]"},
 "optimizer": {"0.mu.mlp/linear_0.w": "float32 [4, 64]"},
 "config": {"environment": "my:Env", "agent": "dqn", ...},
 "spec": {"observation": ..., "num_actions": 3},
 "versions": {"python": "3.10.13", "distrl": "0.1.0", ...},
 "commits": {"distrl": "86ea6e4...", "working directory": "01f3a9c...-dirty"}}

The first four are compared with those of a run that is resumed or evaluated; with the
others a policy can be loaded without its environment (`distrl.load_policy`).
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distrl.checkpoints.manifest import RUN_SPEC
from distrl.config import Config
from distrl.errors import ConfigError
from distrl.system.output import say, write_json
from distrl.types import EnvironmentSpec

Description = dict[str, dict[str, str]]
"""By section, and then by the name of a part, what that part is."""

_SHOWN = 3


def describe_environment(spec: EnvironmentSpec) -> Description:
    """Returns the sections `environment` and `bounds`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(spec.observation)
    parts, bounds = {}, {}
    for path, leaf in leaves:
        name = f"observation{jax.tree_util.keystr(path)}"
        parts[name] = f"{leaf.dtype} {list(leaf.shape)}"
        if hasattr(leaf, "minimum") and np.size(leaf.minimum):
            bounds[name] = f"{np.min(leaf.minimum)} to {np.max(leaf.maximum)}"
    for field in dataclasses.fields(spec):
        if field.name != "observation":
            parts[field.name] = str(getattr(spec, field.name))
    return {"environment": parts, "bounds": bounds}


def write_run_spec(
    run_dir: str | Path, description: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes spec.json; only logs a failure of the disk."""
    try:
        write_json(Path(run_dir) / RUN_SPEC, description)
    except OSError as error:
        say(f"{RUN_SPEC} cannot be written: {error}")


def check_run_spec(config: Config, description: Description) -> list[str]:
    """Compares sections with the run's spec.json; returns a warning if bounds differ.

    Raises ConfigError if another section has changed, so what was saved does not fit. A
    missing or damaged spec.json is not compared.
    """
    saved = {} if config.run_dir is None else _read(Path(config.run_dir) / RUN_SPEC)
    subjects = {
        "network": f"the network of agent {config.agent!r}",
        "optimizer": f"optimizer {config.learner.optimizer!r}",
    }
    warnings = []
    for section, now in description.items():
        before = saved.get(section, now)
        changes = [
            f"{name} was {before.get(name, 'missing')}, is now "
            f"{now.get(name, 'missing')}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        if not changes:
            continue
        listed = "; ".join(changes[:_SHOWN])
        if len(changes) > _SHOWN:
            listed += f"; and {len(changes) - _SHOWN} more"
        subject = subjects.get(section, f"environment {config.environment!r}")
        line = f"{subject} has changed since the run was started: {listed}"
        # A run that failed on a value out of bounds can continue with corrected ones.
        if section != "bounds":
            raise ConfigError(
                f"{line}. What the run has saved does not fit. Undo the change, or "
                "begin another run with distrl train."
            )
        warnings.append(f"warning: {line}")
    return warnings


def _read(path: Path) -> Description:
    try:
        content = json.loads(path.read_text())
        return {name: dict(parts) for name, parts in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
