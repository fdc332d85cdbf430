"""What a run that is resumed may be changed in, and what not."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from distrl.config.fields import list_fields, show_value
from distrl.config.parse import load_config
from distrl.config.paths import read_path
from distrl.config.reading import find_value
from distrl.config.schema import Config
from distrl.errors import ConfigError

_NOTHING: Mapping[str, Any] = MappingProxyType({})

# Fields, or beginnings of fields, that nothing saved depends on.
_CHANGEABLE = (
    "name",
    "run_dir",
    "actor.count",
    "actor.environments",
    "actor.environment_processes",
    "actor.fetch_seconds",
    "actor.exploration.",
    "replay.shuffle_steps",
    "replay.prefetch",
    "replay.importance_exponent",
    "learner.devices",
    "learner.learning_rate",
    "learner.schedule_args",
    "learner.target_update_",
    "learner.publish_period",
    "learner.metrics_period",
    "variables.",
    "evaluation.",
    "stop.",
    "checkpoint.",
    "launch.",
    "sweep.",
)

# Why the others stay as they are; the first that a name begins with counts.
_REASONS = (
    ("seed", "the keys that were derived from it are saved, and go on"),
    ("agent", "what was learned is the state of that agent"),
    ("environment", "what was learned, and what replay holds, is of that environment"),
    ("network.", "the saved parameters are those of that network"),
    ("actor.", "what replay holds was made with it"),
    ("replay.", "replay comes back as it was saved, its limits with it"),
    ("loss.", "what was learned, and the priorities in replay, are of that loss"),
    ("learner.batch_size", "the saved limits of replay were derived from it"),
    ("learner.steps_per_dispatch", "the saved limits of replay were derived from it"),
    ("learner.", "the saved state of the optimiser was made for it"),
)


def load_run(run_dir: str, changes: Mapping[str, Any] = _NOTHING) -> Config:
    """Returns the checked configuration of the run in a directory, with changes.

    Args:
      run_dir: the run's directory, wherever it lies now.
      changes: values by dotted name, as in `load_config`.

    Raises:
      ConfigError: there is no run, its configuration cannot be read, or a change
        does not fit what it has saved.
    """
    path = read_path("the run's directory", run_dir)
    file = path / "config.yaml"
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ConfigError(
            f"{run_dir} {what}; name the directory of a run, for example "
            "runs/catch-20260131-120000"
        )
    if (path / "sweep.json").exists():
        raise ConfigError(
            f"{run_dir} holds a sweep; distrl sweep {run_dir} goes on with it"
        )
    if not file.exists():
        raise ConfigError(
            f"{run_dir} holds no run: there is no config.yaml in it; name the "
            "directory that distrl train made"
        )
    saved = load_config(str(file), {"run_dir": str(path)})
    if saved.actor.bsuite_log:
        raise ConfigError(
            f"{run_dir} has actor.bsuite_log = true: bsuite scores all episodes from "
            "the first, and those that were lost are in no checkpoint. Begin the run "
            "again; distrl sweep does so for each id that is not done."
        )
    if "run_dir" in changes:
        raise ConfigError(
            f"run_dir = {show_value(changes['run_dir'])}: distrl resume goes on in "
            f"the directory that it is given, {run_dir}"
        )
    if changes.get("agent", saved.agent) != saved.agent:
        raise _refuse("agent", saved.agent, changes["agent"])
    config = load_config(str(file), {"run_dir": str(path), **changes})
    check_changes(saved, config)
    return config


def check_changes(saved: Config, config: Config) -> None:
    """Raises ConfigError where a configuration does not fit what another has saved.

    Args:
      saved: of the run so far.
      config: with which it is to go on.
    """
    for name in list_fields():
        before, now = find_value(saved, name), find_value(config, name)
        if before != now and not name.startswith(_CHANGEABLE):
            raise _refuse(name, before, now)
    before, now = saved.launch.backend, config.launch.backend
    if before != now and "serial" in (before, now):
        raise ConfigError(
            f"launch.backend = {now}: the run has {before}, and the serial back end "
            "saves in a form of its own; the others can take each other's place"
        )


def _refuse(name: str, before: Any, now: Any) -> ConfigError:
    reason = next(why for start, why in _REASONS if name.startswith(start))
    return ConfigError(
        f"{name} = {show_value(now)}: the run has {show_value(before)}, and it must "
        f"keep that: {reason}. Begin another run with distrl train."
    )
