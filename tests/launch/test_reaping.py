"""The kernel's promises that nothing is left running."""

import os
import signal
import subprocess
import sys

import psutil

from distrl.launch.reaping import kill_session

_ORPHANING = """
import os, sys
from distrl.launch.reaping import die_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    die_with_parent(parent)
    print(os.getpid(), flush=True)
    import signal
    while True:
        signal.pause()
os.wait()
"""

_FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


def test_a_child_dies_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHANING], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert child.wait(timeout=10) is None or not child.is_running()


def test_a_session_is_killed_whole():
    leader = subprocess.Popen(
        [sys.executable, "-c", _FAMILY],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    member = psutil.Process(int(leader.stdout.readline()))
    assert os.getsid(member.pid) == leader.pid
    kill_session(leader.pid)
    member.wait(timeout=10)
    assert leader.wait() == -signal.SIGKILL
