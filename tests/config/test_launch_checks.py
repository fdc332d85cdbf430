"""Processes, environment variables and the cluster: what no program can have."""

import re

import pytest

from distrl.config import load_config
from distrl.errors import ConfigError

_LOGGED = {"actor.bsuite_log": True, "launch.restart": "never"}
_PERIOD = {"checkpoint.period_learner_steps": 5}


@pytest.mark.parametrize(
    "overrides",
    [
        {"evaluation.episodes": 100, "evaluation.environments": 100},
        _LOGGED,
        _LOGGED | _PERIOD,
        {"launch.address": "auto"},
        {"launch.address": "10.0.0.1:6379"},
        {"launch.resources": {"actor": {"num_cpus": 0}, "learner": {}}},
        {"launch.resources.learner": {"num_gpus": 0.5, "licence": 2}},
        {"launch.environment.learner": {"A": "", "B": 0, "C": "a=b"}},
        {"launch.environment.learner": {}},
    ],
)
def test_possible_programs(overrides):
    load_config(None, overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"launch.report_seconds": 30.0},
            "launch.report_seconds = 30: .* launch.silent_seconds = 30",
        ),
        (
            {"actor.environments": 4, "actor.environment_processes": 5},
            "actor.environment_processes = 5: .* actor.environments = 4",
        ),
        (
            {"evaluation.environment_processes": 26},
            "evaluation.environment_processes = 26: .* evaluation.environments = 25",
        ),
        (
            {"evaluation.environments": 30},
            "evaluation.environments = 30: .* evaluation.episodes = 100",
        ),
        ({"actor.bsuite_log": True}, "bsuite_log = true: .* launch.restart .*killed"),
        (
            _LOGGED | {"environment": "gym:CartPole-v1"},
            "actor.bsuite_log = true: .*'gym:CartPole-v1'",
        ),
        (
            _LOGGED | _PERIOD | {"launch.backend": "serial"},
            "actor.bsuite_log = true: .* checkpoint.period_learner_steps = 5",
        ),
        (
            {"launch.backend": "threads", "launch.environment.actor": {"A": "1"}},
            "launch.environment = .* launch.backend = threads",
        ),
    ],
)
def test_impossible_programs(overrides, words):
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    assert re.search(words, str(caught.value))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://10.0.0.1:10001", "10.0.0.1:6379"),
        ("10.0.0.1", "host:port"),
        ("head:0", "host:port"),
        ("", "null"),
    ],
)
def test_impossible_addresses(address, words):
    with pytest.raises(ConfigError, match=f"launch.address = {address!r}: .*{words}"):
        load_config(None, {"launch.address": address})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("resources", 1, "learner = 1: it must be a mapping"),
        ("resources", {"num_gpus": "1"}, "learner.num_gpus = '1': .* a number"),
        ("resources", {"num_cpus": -1}, "learner.num_cpus = -1: .* at least 0"),
        ("resources", {"licence": True}, "learner.licence = true: .* a number"),
        ("resources", {"num_gpus": 1.5}, "learner.num_gpus = 1.5: .* whole GPUs"),
        ("resources", {"num_gpu": 1}, "learner.num_gpu = 1: .* mean 'num_gpus'?"),
        ("environment", "A=0", "learner = 'A=0': it must be a mapping"),
        ("environment", {"A": True}, "learner.A = true: .* text or a number"),
        ("environment", {"A": None}, "learner.A = null: .* text or a number"),
        ("environment", {"A": "a\0b"}, "learner.A = .*: .* text or a number"),
        ("environment", {"A=B": "1"}, "learner.A=B = '1': .* '='"),
        ("environment", {"": "1"}, "learner. = '1': .* empty"),
    ],
)
def test_what_nodes_cannot_have(field, value, words):
    with pytest.raises(ConfigError, match=f"launch.{field}.{words}"):
        load_config(None, {f"launch.{field}": {"learner": value}})
