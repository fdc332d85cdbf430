"""Devices and environment variables of the groups of nodes."""

import socket

import pytest

from distrl.config import LaunchConfig
from distrl.launch.devices import (
    DEVICE_VARIABLES,
    describe_place,
    device_variables,
    node_environment,
)


def test_learner_keeps_inherited_xla_flags(monkeypatch):
    forced = "--xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", forced)
    environment = node_environment("learner")
    assert set(environment) == {"XLA_FLAGS"}
    assert environment["XLA_FLAGS"].split()[0] == forced


@pytest.mark.parametrize("group", ["actor", "evaluator", "replay", "anything"])
def test_other_groups_compute_on_one_cpu_thread(group):
    environment = node_environment(group)
    assert environment["JAX_PLATFORMS"] == "cpu"
    assert "intra_op_parallelism_threads=1" in environment["XLA_FLAGS"]


def test_configured_variables_override_defaults(monkeypatch):
    monkeypatch.setenv("no_grpc_proxy", "localhost,10.0.0.2")
    chosen = {"learner": {"no_grpc_proxy": "a.com"}, "actor": {"OMP_NUM_THREADS": 4}}
    assert node_environment("actor", chosen) == {
        **node_environment("actor"),
        "OMP_NUM_THREADS": "4",
    }
    assert node_environment("replay", chosen) == node_environment("replay")
    # The inherited hosts stay, so that nodes remain reachable.
    environment = node_environment("learner", chosen)
    assert environment["no_grpc_proxy"] == "a.com,localhost,10.0.0.2"


def test_only_device_variables_are_shown(monkeypatch):
    for name in DEVICE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    inherited = {"CUDA_VISIBLE_DEVICES": "0,1", "HOME": "/nowhere"}
    chosen = {"learner": {"CUDA_VISIBLE_DEVICES": 1, "TOKEN": "secret"}}
    launch = LaunchConfig(environment=chosen)
    shown = device_variables("learner", launch, inherited)
    assert set(shown) == {"CUDA_VISIBLE_DEVICES", "XLA_FLAGS"}
    assert shown["CUDA_VISIBLE_DEVICES"] == "1"
    assert device_variables("actor", launch, inherited)["CUDA_VISIBLE_DEVICES"] == "0,1"
    # Threads share the environment of their process.
    threads = LaunchConfig(backend="threads")
    inherited.pop("HOME")
    assert device_variables("actor", threads, inherited) == inherited


def test_node_place_describes_host_and_learner_devices():
    learner = describe_place("learner", LaunchConfig(), "2 x cpu")
    assert learner["host"] == socket.gethostname()
    assert learner["memory_mib"] > 0
    assert learner["jax_devices"] == "2 x cpu"
    assert "jax_devices" not in describe_place("actor/3", LaunchConfig(), "2 x cpu")
