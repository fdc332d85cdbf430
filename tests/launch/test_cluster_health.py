"""What `distrl doctor --cluster` makes of the answers of machines."""

import socket

import pytest

from distrl.errors import ConfigError
from distrl.launch.cluster.health import (
    check_cluster,
    judge_clock,
    judge_devices,
    judge_ports,
    judge_versions,
    name_machines,
)

_HERE = {"Python": "3.10", "jax": "0.4.38"}


def test_the_same_versions():
    finding = judge_versions("10.0.0.2", dict(_HERE), _HERE)
    assert (finding.name, finding.state) == ("10.0.0.2 versions", "ok")
    assert finding.found == "the same 2 as here"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"Python": "3.10", "jax": "0.4.30"}, "jax 0.4.30, here 0.4.38"),
        ({"Python": "3.10", "jax": None}, "jax not installed, here 0.4.38"),
        ({"Python": "3.9", "jax": "0.4.38"}, "Python 3.9, here 3.10"),
    ],
)
def test_another_version_fails_and_is_named(found, text):
    finding = judge_versions("10.0.0.2", found, _HERE)
    assert finding.state == "failed"
    assert finding.found == text
    assert "requirements.lock" in finding.advice


def test_what_is_installed_nowhere_is_no_difference():
    versions = {"Python": "3.10", "distrl": None}
    assert judge_versions("a", versions, versions).state == "ok"


def test_devices():
    facts = {"cores": 8, "name": "gpu-1"}
    finding = judge_devices("10.0.0.2", (["cuda:0", "cuda:1"], ""), facts)
    assert finding.state == "ok"
    assert finding.found == "cuda:0, cuda:1; 8 cores, gpu-1"
    finding = judge_devices("10.0.0.2", ([], "no driver"), facts)
    assert (finding.state, finding.found) == ("failed", "no driver")
    assert finding.advice


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "state"),
    [
        (0.2, 0.001, "ok"),
        (-0.2, 0.001, "ok"),
        (1.5, 0.001, "warning"),
        (-1.5, 0.001, "warning"),
        # What is not known is no fault.
        (1.5, 0.6, "ok"),
    ],
)
def test_clocks(ahead, uncertainty, state):
    finding = judge_clock("10.0.0.2", ahead, uncertainty)
    assert finding.state == state
    assert finding.found.startswith(f"{ahead * 1000:+.1f} ms")
    assert bool(finding.advice) is (state != "ok")


def test_ports():
    assert judge_ports("10.0.0.2", [], 3).found == "reaches all of 3 others"
    finding = judge_ports("10.0.0.2", ["10.0.0.3:40000 (timed out)"], 3)
    assert finding.state == "failed"
    assert finding.found == "cannot reach 10.0.0.3:40000 (timed out)"
    assert "TCP" in finding.advice


def test_machines_that_share_an_address_get_numbers():
    assert name_machines(["a", "b"]) == ["a", "b"]
    assert name_machines(["a", "b", "a"]) == ["a#1", "b", "a#2"]


def test_where_nobody_listens_there_is_no_cluster():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match="nobody listens there.*ray start --head"):
        next(check_cluster(f"localhost:{port}", ["jax"]))
