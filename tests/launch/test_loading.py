"""The number of open files that a run needs."""

import pytest

from distrl.config import Config
from distrl.config.schema import (
    ActorConfig,
    EvaluationConfig,
    LaunchConfig,
    ReplayConfig,
)
from distrl.launch.loading import count_needed_files


@pytest.mark.parametrize(
    ("backend", "actors", "shards", "processes", "needed"),
    [
        ("processes", 2, 1, (0, 0), 32 + 5 * 7),
        ("processes", 4, 4, (0, 0), 32 + 5 * 12),
        ("processes", 2, 1, (4, 6), 32 + 5 * 7 + 6),
        ("launchpad", 10, 1, (0, 0), 32 + 5 * 15),
        ("threads", 2, 1, (0, 0), 32 + 15 * 7),
        ("threads", 2, 1, (4, 6), 32 + 15 * 7 + 2 * 4 + 6),
        ("serial", 10, 5, (0, 0), 32 + 15),
        ("serial", 10, 5, (4, 6), 32 + 15 + 4 + 6),
    ],
)
def test_nodes_and_environment_processes_need_files(
    backend, actors, shards, processes, needed
):
    acting, evaluating = processes
    config = Config(
        actor=ActorConfig(count=actors, environment_processes=acting),
        evaluation=EvaluationConfig(environment_processes=evaluating),
        replay=ReplayConfig(shards=shards),
        launch=LaunchConfig(backend=backend),
    )
    assert count_needed_files(config) == needed
