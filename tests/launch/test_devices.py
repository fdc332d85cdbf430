"""The learner has the devices, all others one CPU thread; or what was chosen."""

import socket

from distrl.config import LaunchConfig
from distrl.launch.devices import (
    DEVICE_VARIABLES,
    chosen_environment,
    describe_place,
    device_variables,
    node_environment,
)


def test_the_learner_sees_what_jax_shows(monkeypatch):
    forced = "--xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", forced)
    environment = node_environment("learner")
    assert set(environment) == {"XLA_FLAGS"}
    assert environment["XLA_FLAGS"].split()[0] == forced


def test_all_others_compute_on_one_cpu_thread():
    for group in ("actor", "evaluator", "replay", "anything"):
        environment = node_environment(group)
        assert environment["JAX_PLATFORMS"] == "cpu"
        assert "intra_op_parallelism_threads=1" in environment["XLA_FLAGS"]


def test_what_was_chosen_comes_before_the_rest():
    chosen = {"learner": {"CUDA_VISIBLE_DEVICES": 1}, "actor": {"OMP_NUM_THREADS": 4}}
    assert node_environment("learner", chosen)["CUDA_VISIBLE_DEVICES"] == "1"
    assert node_environment("actor", chosen) == {
        **node_environment("actor"),
        "OMP_NUM_THREADS": "4",
    }
    assert node_environment("replay", chosen) == node_environment("replay")
    assert chosen_environment("actor", chosen) == {"OMP_NUM_THREADS": "4"}
    assert chosen_environment("replay", chosen) == {}


def test_the_variables_that_decide_devices_are_told_and_no_others(monkeypatch):
    for name in DEVICE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    inherited = {"CUDA_VISIBLE_DEVICES": "0,1", "HOME": "/nowhere"}
    chosen = {"learner": {"CUDA_VISIBLE_DEVICES": 1, "TOKEN": "secret"}}
    launch = LaunchConfig(environment=chosen)
    told = device_variables("learner", launch, inherited)
    assert told.pop("XLA_FLAGS") == node_environment("learner")["XLA_FLAGS"]
    assert told == {"CUDA_VISIBLE_DEVICES": "1"}
    # What a node inherits decides, too.
    assert device_variables("actor", launch, inherited)["CUDA_VISIBLE_DEVICES"] == "0,1"
    # Threads have no other environment than their process.
    threads = LaunchConfig(backend="threads")
    assert device_variables("actor", threads, inherited) == {
        "CUDA_VISIBLE_DEVICES": "0,1"
    }


def test_the_place_of_a_node():
    learner = describe_place("learner", LaunchConfig(), "2 x cpu")
    assert learner["host"] == socket.gethostname()
    assert learner["memory_mib"] > 0
    assert learner["jax_devices"] == "2 x cpu"
    actor = describe_place("actor/3", LaunchConfig(), "2 x cpu")
    assert "jax_devices" not in actor
    assert actor["device_variables"]["JAX_PLATFORMS"] == "cpu"


def test_a_groups_own_exceptions_from_proxies_leave_nodes_reachable(monkeypatch):
    monkeypatch.setenv("no_grpc_proxy", "localhost,10.0.0.2")
    chosen = {"actor": {"no_grpc_proxy": "a.com"}}
    environment = node_environment("actor", chosen)
    assert environment["no_grpc_proxy"] == "a.com,localhost,10.0.0.2"
