"""The configuration of an existing run, and the changes that a resume may make."""

from collections.abc import Mapping
from typing import Any

from distrl.config.fields import find_value, list_fields, refuse, show_value
from distrl.config.load import NO_CHANGES, load_config, read_path
from distrl.config.schema import Config
from distrl.errors import ConfigError


def load_run(run_dir: str, changes: Mapping[str, Any] = NO_CHANGES) -> Config:
    """Returns the checked configuration of the run in a directory, with changes.

    The run may have been moved. Changes are values by dotted name, as in `load_config`.

    Raises:
      ConfigError: the run does not exist, or a resume may not make these changes.
    """
    path = read_path("the run's directory", run_dir)
    file = path / "config.yaml"
    if (path / "sweep.json").exists():
        raise ConfigError(
            f"{run_dir} holds a sweep; continue it with distrl sweep {run_dir}"
        )
    if not file.exists():
        what = "is not the directory of a run: it has no config.yaml"
        raise ConfigError(
            f"{run_dir} {what if path.exists() else 'does not exist'}; name the "
            "directory that distrl train made, for example runs/catch-20260131-120000"
        )
    saved = load_config(str(file), {"run_dir": str(path)})
    if saved.actor.bsuite_log:
        raise ConfigError(
            f"{run_dir} has actor.bsuite_log = true: bsuite scores all episodes from "
            "the first, and checkpoints do not hold those that were lost. Start the "
            "run again; distrl sweep does so for each id that is not done."
        )
    if "run_dir" in changes:
        problem = (
            f"distrl resume continues in the directory that it is given, {run_dir}"
        )
        raise refuse("run_dir", changes["run_dir"], problem)
    # Checked first: another agent also changes the fields of its preset.
    _check_fixed("agent", saved.agent, changes.get("agent", saved.agent))
    config = load_config(str(file), {"run_dir": str(path), **changes})
    check_changes(saved, config)
    return config


def check_changes(saved: Config, config: Config) -> None:
    """Raises ConfigError if a resume may not change `saved` to `config`."""
    for name in list_fields():
        _check_fixed(name, find_value(saved, name), find_value(config, name))
    before, now = saved.launch.backend, config.launch.backend
    if before != now and "serial" in (before, now):
        raise ConfigError(
            f"launch.backend = {now}: the run has {before}, and the serial backend "
            "saves in a form of its own; only the others can replace each other"
        )


def _check_fixed(name: str, before: Any, now: Any) -> None:
    fixed = list_fields()[name].fixed
    if before != now and fixed is not None:
        raise ConfigError(
            f"{name} = {show_value(now)}: the run has {show_value(before)}, and it "
            f"must keep that: {fixed}. Start another run with distrl train."
        )
