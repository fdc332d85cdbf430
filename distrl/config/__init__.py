"""The configuration of a run, as dataclasses, YAML files and command-line flags."""

from distrl.config.changes import check_changes, load_run
from distrl.config.checks import check_devices
from distrl.config.load import (
    check_config,
    config_from_dict,
    config_to_yaml,
    load_config,
)
from distrl.config.schema import (
    ActorConfig,
    CheckpointConfig,
    Config,
    EvaluationConfig,
    ExplorationConfig,
    LaunchConfig,
    LearnerConfig,
    LossConfig,
    NetworkConfig,
    ReplayConfig,
    StopConfig,
    SweepConfig,
    VariablesConfig,
)

__all__ = [
    "ActorConfig",
    "CheckpointConfig",
    "Config",
    "EvaluationConfig",
    "ExplorationConfig",
    "LaunchConfig",
    "LearnerConfig",
    "LossConfig",
    "NetworkConfig",
    "ReplayConfig",
    "StopConfig",
    "SweepConfig",
    "VariablesConfig",
    "check_changes",
    "check_config",
    "check_devices",
    "config_from_dict",
    "config_to_yaml",
    "load_config",
    "load_run",
]
