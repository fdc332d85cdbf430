"""The configuration of a run: dataclass tree, YAML file and flags are one."""

from distrl.config.schema import (
    ActorConfig,
    Config,
    EvaluationConfig,
    ExplorationConfig,
    LaunchConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
    StopConfig,
)

__all__ = [
    "ActorConfig",
    "Config",
    "EvaluationConfig",
    "ExplorationConfig",
    "LaunchConfig",
    "LearnerConfig",
    "NetworkConfig",
    "ReplayConfig",
    "StopConfig",
]
