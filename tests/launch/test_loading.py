"""The number of open files that a run needs."""

import dataclasses

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
    ("backend", "actors", "shards", "needed"),
    [
        ("processes", 2, 1, 32 + 5 * 7),
        ("processes", 4, 4, 32 + 5 * 12),
        ("launchpad", 10, 1, 32 + 5 * 15),
        ("threads", 2, 1, 32 + 15 * 7),
        ("serial", 10, 5, 32 + 15),
    ],
)
def test_more_nodes_need_more_files(backend, actors, shards, needed):
    config = Config(
        actor=ActorConfig(count=actors),
        replay=ReplayConfig(shards=shards),
        launch=LaunchConfig(backend=backend),
    )
    assert count_needed_files(config) == needed


@pytest.mark.parametrize(
    ("backend", "more"), [("processes", 6), ("threads", 2 * 4 + 6), ("serial", 4 + 6)]
)
def test_each_environment_process_needs_a_file(backend, more):
    config = Config(launch=LaunchConfig(backend=backend))
    with_processes = dataclasses.replace(
        config,
        actor=ActorConfig(count=2, environment_processes=4),
        evaluation=EvaluationConfig(environment_processes=6),
    )
    needed = count_needed_files(with_processes) - count_needed_files(config)
    assert needed == more
