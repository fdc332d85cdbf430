"""The kernel's promises that nothing is left running."""

import os
import signal
import subprocess
import sys

import psutil

from distrl.launch.reaping import (
    catches_signal,
    find_children,
    find_descendants,
    kill_descendants,
    kill_session,
    kill_tree,
)
from distrl.system.children import adopt_orphans

_FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


_ORPHANED = """
import os
if os.fork() == 0:
    os._exit(0)
"""


def test_what_a_session_leaves_to_its_adopter_is_reaped():
    adopt_orphans()
    leader = subprocess.Popen(
        [sys.executable, "-c", _ORPHANED],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    leader.wait()
    adopted = [p for p in psutil.Process().children() if os.getsid(p.pid) == leader.pid]
    kill_session(leader.pid)
    adopt_orphans(False)
    assert len(adopted) == 1
    assert not psutil.pid_exists(adopted[0].pid)


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


def test_a_tree_is_killed_whole_and_nothing_else():
    roots = [
        subprocess.Popen(
            [sys.executable, "-c", _FAMILY], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    members = [psutil.Process(int(root.stdout.readline())) for root in roots]
    kill_tree(roots[0].pid)
    members[0].wait(timeout=10)
    assert roots[0].wait() == -signal.SIGKILL
    assert members[1].is_running()
    assert roots[1].poll() is None
    kill_tree(roots[1].pid)
    members[1].wait(timeout=10)
    roots[1].wait()
    for root in roots:
        root.stdout.close()


_CATCHING = """
import faulthandler, signal
faulthandler.register(signal.SIGUSR2)
print("ready", flush=True)
signal.pause()
"""


def test_who_catches_a_signal_is_told():
    child = subprocess.Popen([sys.executable, "-c", _CATCHING], stdout=subprocess.PIPE)
    child.stdout.readline()
    assert child.pid in find_children(os.getpid())
    assert catches_signal(child.pid, signal.SIGUSR2)
    assert not catches_signal(child.pid, signal.SIGUSR1)
    child.kill()
    child.wait()
    child.stdout.close()
    assert not catches_signal(child.pid, signal.SIGUSR2)
    assert find_children(child.pid) == []


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


def test_what_somebody_started_is_found_by_its_mark_wherever_it_went():
    adopt_orphans()
    try:
        started = []
        for mark in ("7", "8"):
            leader = subprocess.Popen(
                [sys.executable, "-c", _MARKED, mark], stdout=subprocess.PIPE, text=True
            )
            started.append(int(leader.stdout.readline()))
            leader.kill()
            leader.wait()
            leader.stdout.close()
        marks = range(7, 8)
        assert started[0] in find_descendants(os.getpid(), marks)
        assert started[1] not in find_descendants(os.getpid(), marks)
        kill_descendants(os.getpid(), marks)
        assert not psutil.pid_exists(started[0])
        assert psutil.Process(started[1]).status() != psutil.STATUS_ZOMBIE
        kill_descendants(os.getpid(), range(8, 9))
        assert not psutil.pid_exists(started[1])
    finally:
        adopt_orphans(False)
