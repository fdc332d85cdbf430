"""No port of an isolated run can be reached from outside its private network."""

import contextlib
import os
import signal

import psutil
import pytest
from integration.commands import ENDLESS, can_isolate, train
from pythons import run_python

# Run in the test's own network, which is the machine's, or in a private one.
_CONNECT = """
import socket, sys
from distrl.launch.isolation import enter_isolation
if sys.argv[1] == "private":
    assert enter_isolation() is None
reached = []
for address in sys.argv[2:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        reached.append(address)
    except OSError:
        continue
print(*reached)
"""

# Courier unpickles its arguments, so an attacker needs only a call.
_ATTACK = """
import sys
import courier

class Crafted:
    def __reduce__(self):
        return open, (sys.argv[2], "w")

client = courier.Client(sys.argv[1], call_timeout=3)
try:
    client.newest_version(Crafted())
except Exception as error:
    print("refused", type(error).__name__)
"""


def _run(code, *arguments):
    answer = run_python("-c", code, *arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def _find_ports(command):
    """Returns the ports at which processes of the command listen."""
    ports = set()
    for process in command.left_running():
        # Each process shows the sockets of its own network.
        for table in ("tcp", "tcp6"):
            with open(f"/proc/{process.pid}/net/{table}") as file:
                lines = [line.split() for line in file.readlines()[1:]]
            own = _list_sockets(process.pid)
            ports |= {
                int(line[1].rpartition(":")[2], 16)
                for line in lines
                if line[3] == "0A" and int(line[9]) in own
            }
    return sorted(ports)


def _list_sockets(pid):
    """Returns the inodes of a process's sockets."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        # A descriptor may close meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(entry.path).startswith("socket:"):
                inodes.add(os.stat(entry.path).st_ino)
    return inodes


def _list_addresses(ports):
    """Returns host:port for every address of this machine."""
    hosts = {"127.0.0.1"}
    for addresses in psutil.net_if_addrs().values():
        hosts |= {each.address for each in addresses if each.family.name == "AF_INET"}
    return [f"{host}:{port}" for host in sorted(hosts) for port in ports]


@pytest.mark.distributed
@pytest.mark.parametrize("isolate", [True, False])
def test_ports_and_pickles_are_blocked_only_by_isolation(tmp_path, isolate):
    """Both arrive without isolation, which shows that the test can detect them."""
    flags = [*ENDLESS, f"--launch.isolate={str(isolate).lower()}"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        variables = command.nodes["variables"]["address"]
        ports = _find_ports(command)
        # Replay, variables and coordinator, at least.
        assert len(ports) >= 3
        assert int(variables.rpartition(":")[2]) in ports
        addresses = _list_addresses(ports)
        reached = _run(_CONNECT, "here", *addresses)
        trace = tmp_path / "arrived"
        answer = _run(_ATTACK, variables, str(trace))
        if can_isolate():
            assert _run(_CONNECT, "private", *addresses) == []
        open_to_all = not (isolate and can_isolate())
        assert bool(reached) == open_to_all
        assert trace.exists() == open_to_all
        assert answer[:1] == ["refused"]
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 143
