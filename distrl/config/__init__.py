"""The configuration of a run: dataclass tree, YAML file and flags are one."""

from distrl.config.checks import check_config, check_devices
from distrl.config.parse import config_to_yaml, load_config
from distrl.config.reading import config_from_dict
from distrl.config.resuming import check_changes, load_run
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
