"""Hosts that are really apart, each with an address of its own."""

import csv
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
    # Some of those who call are on the other host.
    assert len({machines[name] for name in addresses}) == 2 or (
        set(machines.values()) - {machines[name] for name in addresses}
    )


def keep_on(address):
    """Has the nodes that save, and the evaluator, on one host; actors on the other."""
    groups = ("coordinator", "replay", "learner", "evaluator", "variables")
    other = NetworkHosts.addresses[1 - NetworkHosts.addresses.index(address)]
    here = ", ".join(f"{group}: {{'node:{address}': 0.01}}" for group in groups)
    return f"--launch.resources={{{here}, actor: {{'node:{other}': 0.01}}}}"


def test_what_a_host_writes_that_shares_no_disk_is_collected(tmp_path, make_hosts):
    hosts = make_hosts(hidden=tmp_path)
    run_dir = tmp_path / "run"
    arguments = [*flags(hosts), keep_on(hosts.addresses[0])]
    with train(run_dir, *arguments, wrapper=hosts.wrapper) as command:
        command.await_line("training")
        assert command.finish(timeout=240) == 0, command.stderr
    assert command.result["evaluation_return"] >= 0.95
    for index in range(2):
        path = run_dir / "metrics" / "actor" / f"{index}.csv"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert int(float(rows[-1]["env_steps"])) > 0
        assert (run_dir / "logs" / "actor" / f"{index}.log").exists()
        assert list((run_dir / "tensorboard" / "actor" / str(index)).iterdir())


def test_who_saves_has_to_share_the_disk(tmp_path, make_hosts):
    hosts = make_hosts(hidden=tmp_path)
    arguments = [*flags(hosts), keep_on(hosts.addresses[1])]
    with train(tmp_path / "run", *arguments, wrapper=hosts.wrapper) as command:
        assert command.finish(timeout=120) == 2
    assert f"machine {hosts.addresses[1]} does not see {tmp_path}/run" in command.stderr
    assert "learner" in command.stderr
    assert "Traceback" not in command.stderr
    assert list(tmp_path.iterdir()) == []
