"""Runs on hosts with separate networks, each with its own address."""

import json

import psutil
import pytest
from integration.commands import train
from network_hosts import NetworkHosts, why_not

REASON = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


@pytest.fixture
def make_hosts():
    made = []

    def make(**arguments):
        made.append(NetworkHosts(**arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()


def flags(hosts):
    return ["--launch.backend=ray", f"--launch.address={hosts.address}"]


def test_two_hosts_solve_catch(tmp_path, make_hosts):
    hosts = make_hosts()
    run_dir = tmp_path / "run"
    with train(run_dir, *flags(hosts), wrapper=hosts.wrapper) as command:
        command.await_line("training")
        assert command.finish(timeout=240) == 0, command.stderr
        zygotes = hosts.left_running("distrl.launch.cluster.zygote")
        _, alive = psutil.wait_procs(zygotes, timeout=10)
        assert not alive
    assert command.result["evaluation_return"] >= 0.95
    program = json.loads((run_dir / "program.json").read_text())
    machines = {node["name"]: node["machine"] for node in program["nodes"]}
    assert set(machines.values()) == set(hosts.addresses)
    addresses = {n["name"]: n["address"] for n in program["nodes"] if n["address"]}
    for name, address in addresses.items():
        assert address.startswith(f"{machines[name]}:")
    # Some nodes call others on the other host.
    assert len({machines[name] for name in addresses}) == 2 or (
        set(machines.values()) - {machines[name] for name in addresses}
    )


def test_all_hosts_must_share_the_run_directory(tmp_path, make_hosts):
    hosts = make_hosts(hidden=tmp_path)
    with train(tmp_path / "run", *flags(hosts), wrapper=hosts.wrapper) as command:
        assert command.finish(timeout=120) == 2
    assert f"machine {hosts.addresses[1]} does not see {tmp_path}/run" in command.stderr
    assert "Traceback" not in command.stderr
    assert list(tmp_path.iterdir()) == []
