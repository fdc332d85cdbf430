"""Inside, only loopback is reachable, and processes end with the first of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import can_isolate

from distrl.launch.isolation import outside_pid, probe_isolation

_INSIDE = """
import errno, socket
from distrl.launch.isolation import enter_isolation
refusal = enter_isolation()
if refusal is not None:
    print("refused", refusal)
else:
    server = socket.create_server(("localhost", 0))
    socket.create_connection(server.getsockname(), timeout=5)
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=5)
    except OSError as error:
        print("isolated", errno.errorcode[error.errno])
"""


def test_loopback_works_and_the_network_does_not():
    answer = subprocess.run(
        [sys.executable, "-c", _INSIDE], capture_output=True, text=True, check=True
    )
    expected = "isolated ENETUNREACH" if probe_isolation() is None else "refused"
    assert answer.stdout.startswith(expected), answer.stderr


def test_a_process_with_threads_can_ask():
    first, second = probe_isolation(), probe_isolation()
    assert first == second


_AS_ORDINARY_USER = """
import os
import socket
from distrl.launch.isolation import drop_capabilities, enter_isolation
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
refusal = enter_isolation()
drop_capabilities()
with open("/proc/self/status") as file:
    (effective,) = (line.split()[1] for line in file if line.startswith("CapEff"))
assert int(effective, 16) == 0, effective
if refusal is None:
    server = socket.create_server(("localhost", 0))
    socket.create_connection(server.getsockname(), timeout=5)
print("refused" if refusal else f"inside as {os.geteuid()}")
"""


def test_an_ordinary_user_gets_in_where_the_system_allows_and_keeps_the_name():
    answer = subprocess.run(
        [sys.executable, "-c", _AS_ORDINARY_USER], capture_output=True, text=True
    )
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    assert answer.stdout.strip() in (f"inside as {user}", "refused"), answer.stderr


_NO_MORE = """
echo 0 > /proc/sys/user/max_net_namespaces || exit 77
exec "$@"
"""


def test_a_limit_of_namespaces_is_not_told_as_a_full_disk():
    code = "from distrl.launch.isolation import enter_isolation as e; print(e())"
    answer = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", _NO_MORE, "sh"]
        + [sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        pytest.skip(f"no limit can be set here: {answer.stderr}")
    assert "sysctl user.max_user_namespaces" in answer.stdout
    assert "space left" not in answer.stdout


_FIRST = """
import os, sys
from distrl.launch.isolation import enter_isolation
from distrl.launch.isolation import *
assert enter_isolation() is None
if not can_own_pids():
    print("refused")
    sys.exit()
begin_own_pids()
first = os.fork()
if first == 0:
    enter_own_pids()
    child = os.fork()
    if child == 0:
        import time
        time.sleep(60)
    import psutil
    print(sorted(psutil.pids()) == [1, child], os.getpid(), child)
    print(outside_pid(child), flush=True)
    sys.stdin.read()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
"""


@pytest.mark.skipif(not can_isolate(), reason="the system allows no namespace")
def test_inside_numbers_begin_at_one_and_the_outside_ones_can_be_found():
    process = subprocess.Popen(
        [sys.executable, "-c", _FIRST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    if first.strip() == "refused":
        pytest.skip("the system allows no mount of /proc")
    inside, outside = first.split(), int(process.stdout.readline())
    assert inside == ["True", "1", inside[2]]
    with open(f"/proc/{outside}/status") as file:
        (names,) = (line.split() for line in file if line.startswith("NSpid"))
    assert (names[1], names[-1]) == (str(outside), inside[2])
    printed, _ = process.communicate("")
    assert printed == "7\n"
    assert not Path(f"/proc/{outside}").exists()


def test_without_a_namespace_both_are_the_same():
    assert outside_pid(1234) == 1234
