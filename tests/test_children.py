"""Children die with their parent, and their ends have names."""

import signal
import subprocess
import sys

import psutil
import pytest

from distrl.children import name_signal

_ORPHANING = """
import os, sys
from distrl.children import die_with_parent
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


def test_a_child_dies_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHANING], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert child.wait(timeout=10) is None or not child.is_running()


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 3, "signal 37")],
)
def test_a_signal_has_a_name(number, name):
    assert name_signal(number) == name
