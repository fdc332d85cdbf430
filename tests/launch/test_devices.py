"""Devices and environment variables of the groups of nodes."""

import importlib.metadata
import socket

import pytest

from distrl.config import LaunchConfig
from distrl.launch.devices import (
    DEVICE_VARIABLES,
    describe_node,
    node_environment,
)


def test_learner_keeps_inherited_xla_flags(monkeypatch):
    forced = "--xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", forced)
    environment = node_environment("learner")
    assert set(environment) == {"XLA_FLAGS"}
    assert environment["XLA_FLAGS"].split()[0] == forced
    # Newer versions warn about this flag.
    is_old = importlib.metadata.version("jaxlib").startswith(("0.4.", "0.5.", "0.6."))
    assert ("thunk" in environment["XLA_FLAGS"]) == is_old


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


def test_node_description_shows_only_device_variables(monkeypatch):
    for name in DEVICE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    chosen = {"learner": {"CUDA_VISIBLE_DEVICES": 1, "TOKEN": "secret"}}
    launch = LaunchConfig(environment=chosen)
    learner = describe_node("learner", launch, "localhost:1", pid=7)
    assert learner["host"] == socket.gethostname()
    assert learner["memory_mib"] > 0
    assert (learner["address"], learner["pid"]) == ("localhost:1", 7)
    shown = learner["device_variables"]
    assert set(shown) == {"CUDA_VISIBLE_DEVICES", "XLA_FLAGS"}
    assert shown["CUDA_VISIBLE_DEVICES"] == "1"

    def show_actor(launch, **own):
        facts = describe_node("actor", launch, None, own=own)
        return facts["device_variables"]

    assert show_actor(launch)["CUDA_VISIBLE_DEVICES"] == "0,1"
    own = show_actor(launch, CUDA_VISIBLE_DEVICES="3")
    assert own["CUDA_VISIBLE_DEVICES"] == "3"
    # Threads share the environment of their process.
    threads = LaunchConfig(backend="threads")
    assert show_actor(threads) == {"CUDA_VISIBLE_DEVICES": "0,1"}
