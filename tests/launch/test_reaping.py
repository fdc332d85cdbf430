"""Killing process trees and marked descendants."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from distrl.launch.reaping import (
    find_descendants,
    kill_descendants,
    kill_group,
    kill_tree,
)
from distrl.system.children import adopt_orphans

_FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


def start_family():
    """Returns a process and its child."""
    leader = subprocess.Popen(
        [sys.executable, "-c", _FAMILY],
        stdout=subprocess.PIPE,
        text=True,
    )
    return leader, psutil.Process(int(leader.stdout.readline()))


def test_only_given_process_and_its_child_are_killed():
    families = [start_family() for _ in range(2)]
    for index, (leader, member) in enumerate(families):
        assert (leader.poll(), member.is_running()) == (None, True)
        kill_tree(leader.pid)
        member.wait(timeout=10)
        assert leader.wait() == -signal.SIGKILL, index
        leader.stdout.close()


_MARKED = """
import os, signal, sys
from distrl.launch.reaping import mark_process
mark_process(int(sys.argv[1]))
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sh", ["sh", "-c", "echo $$; exec sleep 600"])
os.wait()
"""


@pytest.fixture
def orphanage():
    adopt_orphans()
    yield
    adopt_orphans(False)


@pytest.mark.usefixtures("orphanage")
def test_marked_descendants_are_found_and_killed():
    started = []
    for mark in ("7", "8"):
        command = [sys.executable, "-c", _MARKED, mark]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as leader:
            started.append(int(leader.stdout.readline()))
            leader.kill()
    marks = range(7, 8)
    found = find_descendants(os.getpid(), marks)
    assert started[0] in found
    assert started[1] not in found
    kill_descendants(os.getpid(), marks)
    assert not psutil.pid_exists(started[0])
    assert psutil.Process(started[1]).status() != psutil.STATUS_ZOMBIE
    kill_descendants(os.getpid(), range(8, 9))
    assert not psutil.pid_exists(started[1])


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_group_whose_processes_have_ended_is_left_alone(monkeypatch, error):
    def refuse(group, number):
        raise error

    monkeypatch.setattr(os, "killpg", refuse)
    kill_group(os.getpid())
