"""Isolation of the network and of process ids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import can_isolate
from pythons import run_python

from distrl.launch.isolation import outside_pid

_INSIDE = """
import errno, os, socket
from distrl.launch.isolation import drop_capabilities, enter_isolation
if {as_user} and os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
refusal = enter_isolation()
drop_capabilities()
if {as_user}:
    with open("/proc/self/status") as file:
        (effective,) = (line.split()[1] for line in file if line.startswith("CapEff"))
    assert int(effective, 16) == 0, effective
if refusal is not None:
    print("refused", refusal)
else:
    server = socket.create_server(("localhost", 0))
    socket.create_connection(server.getsockname(), timeout=5)
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=5)
    except OSError as error:
        print("isolated", errno.errorcode[error.errno], os.geteuid())
"""


@pytest.mark.parametrize("as_user", [False, True])
def test_isolation_allows_only_loopback(as_user):
    answer = run_python("-c", _INSIDE.format(as_user=as_user))
    user = 65534 if as_user and os.geteuid() == 0 else os.geteuid()
    assert answer.stdout, answer.stderr
    # The system may refuse isolation to ordinary users only.
    if can_isolate() and not as_user or "refused" not in answer.stdout:
        assert answer.stdout == f"isolated ENETUNREACH {user}\n"


_NO_MORE = """
echo 0 > /proc/sys/user/max_net_namespaces || exit 77
exec "$@"
"""


def test_namespace_limit_is_not_reported_as_full_disk():
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
def test_isolated_pids_start_at_one_and_map_to_outside():
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
    # Without a namespace it is the same.
    assert outside_pid(1234) == 1234
