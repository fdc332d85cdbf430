"""What the host prepares: functions by their address, and the limit of open files."""

import dataclasses
import subprocess
import sys

import pytest

from distrl.config import Config
from distrl.config.schema import (
    ActorConfig,
    EvaluationConfig,
    LaunchConfig,
    ReplayConfig,
    VariablesConfig,
)
from distrl.launch.loading import count_needed_files, load_function

_PROGRAM = """
import resource, sys
from distrl.config import Config
from distrl.launch.loading import raise_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
try:
    raise_file_limit(Config(name="x", environment="bsuite:catch/0"))
except ValueError as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def _make_room(soft, hard):
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(soft), str(hard)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_soft_limit_is_raised_to_the_hard_one():
    assert _make_room(100, 200) == "(200, 200)\n"


def test_a_hard_limit_that_is_too_low_is_refused_with_what_to_do():
    message = _make_room(40, 50)
    assert "allows 50 a process" in message
    assert "ulimit -n 67" in message


@pytest.mark.parametrize(
    ("backend", "actors", "shards", "needed"),
    [
        ("processes", 2, 1, 32 + 5 * 7),
        ("processes", 4, 4, 32 + 5 * 12),
        ("launchpad", 10, 1, 32 + 5 * 15),
        ("threads", 2, 1, 32 + 15 * 7),
        ("serial", 10, 5, 32),
    ],
)
def test_what_is_needed_grows_with_the_nodes(backend, actors, shards, needed):
    config = Config(
        actor=ActorConfig(count=actors),
        replay=ReplayConfig(shards=shards),
        launch=LaunchConfig(backend=backend),
    )
    assert count_needed_files(config) == needed


def test_relays_are_nodes():
    config = Config(actor=ActorConfig(count=2))
    relayed = dataclasses.replace(config, variables=VariablesConfig(relays=2))
    four = dataclasses.replace(config, actor=ActorConfig(count=4))
    assert count_needed_files(relayed) == count_needed_files(four)


@pytest.mark.parametrize(
    ("backend", "more"), [("processes", 6), ("threads", 2 * 4 + 6), ("serial", 4 + 6)]
)
def test_each_process_of_environments_needs_one(backend, more):
    config = Config(launch=LaunchConfig(backend=backend))
    with_processes = dataclasses.replace(
        config,
        actor=ActorConfig(count=2, environment_processes=4),
        evaluation=EvaluationConfig(environment_processes=6),
    )
    needed = count_needed_files(with_processes) - count_needed_files(config)
    assert needed == more


def test_a_function_is_found_by_its_address():
    assert load_function("distrl.launch.loading:load_function") is load_function
    assert load_function(load_function) is load_function
    with pytest.raises(AttributeError, match="absent"):
        load_function("distrl.launch.loading:absent")
