"""RUN_DIR/spec.json: the environment, network and optimizer of a run.

{"environment": {"observation['map']": "float32 [2, 2]", "num_actions": "3"},
 "bounds": {"observation['map']": "0.0 to 1.0"},
 "network": {"params.mlp/linear_0.w": "float32 [4, 64]"},
 "optimizer": {"0.mu.mlp/linear_0.w": "float32 [4, 64]"}}
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.system.node_log import say
from distrl.system.whole_files import write_json
from distrl.types import EnvironmentSpec

Description = dict[str, dict[str, str]]
"""By section, and then by the name of a part, what that part is."""

_NAME = "spec.json"
_SHOWN = 3


def describe_environment(spec: EnvironmentSpec) -> Description:
    """Returns the sections `environment` and `bounds`."""
    import jax
    import numpy as np

    leaves, _ = jax.tree_util.tree_flatten_with_path(spec.observation)
    named = {f"observation{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}
    parts = {name: f"{x.dtype} {list(x.shape)}" for name, x in named.items()}
    for field in dataclasses.fields(spec):
        if field.name != "observation":
            parts[field.name] = str(getattr(spec, field.name))
    bounds = {
        name: f"{np.min(leaf.minimum)} to {np.max(leaf.maximum)}"
        for name, leaf in named.items()
        if hasattr(leaf, "minimum") and np.size(leaf.minimum)
    }
    return {"environment": parts, "bounds": bounds}


def write_run_spec(run_dir: str | Path, description: Description) -> None:
    """Writes spec.json; only logs a failure of the disk."""
    try:
        write_json(Path(run_dir) / _NAME, description)
    except OSError as error:
        say(f"{_NAME} cannot be written: {error}")


def check_run_spec(config: Config, description: Description) -> list[str]:
    """Compares sections with the run's spec.json; returns a warning if bounds differ.

    Changed bounds are allowed, since a run that ended because values were out of bounds
    can be resumed once the bounds are corrected. A missing or damaged spec.json is not
    compared.

    Raises:
      ConfigError: another section has changed, so what was saved does not fit.
    """
    saved = {} if config.run_dir is None else _read(Path(config.run_dir) / _NAME)
    subjects = {
        "environment": f"environment {config.environment!r}",
        "bounds": f"environment {config.environment!r}",
        "network": f"the network of agent {config.agent!r}",
        "optimizer": f"optimizer {config.learner.optimizer!r}",
    }
    warnings = []
    for section, now in description.items():
        changes = _find_changes(saved.get(section, now), now)
        if not changes:
            continue
        listed = "; ".join(changes[:_SHOWN])
        if len(changes) > _SHOWN:
            listed += f"; and {len(changes) - _SHOWN} more"
        line = f"{subjects[section]} has changed since the run was started: {listed}"
        if section == "bounds":
            warnings.append(f"warning: {line}")
            continue
        raise ConfigError(
            f"{line}. What the run has saved does not fit. Undo the change, or begin "
            "another run with distrl train."
        )
    return warnings


def _find_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    gone = [f"{n} was {before[n]}, is gone" for n in before if n not in now]
    new = [f"{n} is new, {now[n]}" for n in now if n not in before]
    changed = [
        f"{name} was {before[name]}, is now {now[name]}"
        for name in now
        if name in before and before[name] != now[name]
    ]
    return [*changed, *gone, *new]


def _read(path: Path) -> Description:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {name: parts for name, parts in data.items() if isinstance(parts, dict)}
