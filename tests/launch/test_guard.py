"""The guard, which ends what the host started and pauses with the front."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# A small front: its child becomes the guard, and its grandchild the host.
_FRONT = """
import os, signal, socket, subprocess, sys
from distrl.system.children import die_with_parent, adopt_orphans
from distrl.launch.channel import Channel
from distrl.launch.guard import fork_guarded
near, far = Channel.pair()
front = os.getpid()
if os.fork() == 0:
    near.close()
    os.setsid()
    die_with_parent(front)
    fork_guarded(far, False, sys.argv[1])
    # One of the host's children has left for a session of its own, and lost its parent.
    command = "setsid sleep 600 > /dev/null & echo $!"
    left = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
    print(os.getppid(), os.getpid(), left.stdout.strip(), flush=True)
    signal.pause()
far.close()
status = os.wait()[1]
print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a front; returns its process, and those of guard, host and child."""
    fronts = []

    def start():
        (tmp_path / "scratch").mkdir()
        command = [sys.executable, "-c", _FRONT, str(tmp_path / "scratch")]
        front = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        fronts.append(front)
        pids = [int(pid) for pid in front.stdout.readline().split()]
        return front, [psutil.Process(pid) for pid in pids]

    yield start
    for front in fronts:
        front.kill()
        front.wait()
        front.stdout.close()


def await_status(processes, *statuses):
    for process in processes:
        deadline = time.monotonic() + 30
        while process.status() not in statuses:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_killed_host_ends_everything_and_is_reported(start):
    front, (guard, host, child) = start()
    host.kill()
    assert front.stdout.read() == f"{-signal.SIGKILL}\n"
    assert not any(process.is_running() for process in (guard, host, child))


@pytest.mark.parametrize("suspended", [False, True])
def test_nothing_is_left_when_front_is_killed(start, tmp_path, suspended):
    front, processes = start()
    if suspended:
        processes[1].suspend()
    front.kill()
    front.wait()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_host_ends_when_guard_is_killed(start):
    _, (guard, host, _) = start()
    guard.kill()
    _, alive = psutil.wait_procs([host], timeout=30)
    assert not alive


def test_host_and_child_pause_while_front_is_stopped(start):
    front, (guard, host, child) = start()
    front.send_signal(signal.SIGSTOP)
    await_status([host, child], psutil.STATUS_STOPPED)
    front.send_signal(signal.SIGCONT)
    await_status([host, child], psutil.STATUS_SLEEPING)
    assert guard.is_running()


def test_guard_and_host_ignore_sigterm_and_sigint(start):
    front, processes = start()
    for process in processes[:2]:
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
    processes[1].kill()
    assert front.stdout.read() == f"{-signal.SIGKILL}\n"
