"""Runs on hosts with separate networks, each with its own address."""

from contextlib import closing

import pytest
from integration.commands import train
from marked_processes import assert_all_end
from network_hosts import NetworkHosts, why_not

REASON = why_not()
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


def train_on(hosts, run_dir):
    flags = ["--launch.backend=ray", f"--launch.address={hosts.address}"]
    return train(run_dir, *flags, wrapper=hosts.wrapper)


def test_two_hosts_solve_catch(tmp_path):
    with closing(NetworkHosts()) as hosts, train_on(hosts, tmp_path / "run") as command:
        assert command.finish(timeout=240) == 0, command.stderr
        assert_all_end(hosts.left_running("distrl.launch.cluster.zygote"), 10)
    assert command.result["evaluation_return"] >= 0.95
    # Nodes are on both hosts, so some calls go from one to the other.
    machines = {node["machine"] for node in command.nodes.values()}
    assert machines == set(hosts.addresses)
    for node in command.nodes.values():
        assert (node["address"] or node["machine"]).startswith(node["machine"])


def test_unshared_run_directory_is_refused(tmp_path):
    run_dir = tmp_path / "run"
    hidden = closing(NetworkHosts(hidden=tmp_path))
    with hidden as hosts, train_on(hosts, run_dir) as command:
        assert command.finish(timeout=120) == 2
    assert f"machine {hosts.addresses[1]} does not see {run_dir}" in command.stderr
    assert "Traceback" not in command.stderr
    assert list(tmp_path.iterdir()) == []
