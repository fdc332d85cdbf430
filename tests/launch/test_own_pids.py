"""A PID namespace: its processes have numbers inside and outside, and end together."""

import subprocess
import sys
from pathlib import Path

import pytest
from integration.commands import can_isolate

_FIRST = """
import os, sys
from distrl.launch.isolation import enter_isolation
from distrl.launch.own_pids import *
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
    print(find_outside_pid(child), flush=True)
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
    from distrl.launch.own_pids import find_outside_pid

    assert find_outside_pid(1234) == 1234
