"""A stop reaches a node whatever happened to its signals; SIGTERM alone kills it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from distrl.launch.stop_flag import StopFlag, StopPipe, call_when_told, is_told


def test_a_stop_flag_answers_what_launchpad_asks():
    flag = StopFlag()
    assert flag.wait_for_stop(0) is False
    flag.set()
    assert flag.wait_for_stop(0) is True
    assert flag.stop_event().is_set()


def test_every_listener_is_told_and_late_ones_too():
    pipe, told = StopPipe(), [threading.Event() for _ in range(3)]
    assert not is_told(pipe.reader)
    for event in told[:2]:
        call_when_told(pipe.reader, event.set)
    assert not any(event.is_set() for event in told)
    pipe.tell()
    call_when_told(pipe.reader, told[2].set)
    assert all(event.wait(30) for event in told)
    assert is_told(pipe.reader)


def test_an_end_that_nobody_can_write_to_any_more_says_stop():
    pipe = StopPipe()
    pipe.close_writer()
    assert is_told(pipe.reader)


def test_a_descriptor_that_was_closed_says_nothing():
    pipe = StopPipe()
    os.close(pipe.reader)
    assert not is_told(pipe.reader)


_NODE = """
import os, signal, sys, threading
from distrl.launch.stop_flag import StopFlag, StopPipe, call_when_told
flag, pipe = StopFlag(), StopPipe()
flag.die_of(signal.SIGTERM)
call_when_told(pipe.reader, flag.set)
# Another thread takes the signal, so that nothing wakes the main thread.
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
if "stop" in sys.argv:
    pipe.tell()
flag.stop_event().wait()
print("stopped")
"""


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [([], -signal.SIGTERM, ""), (["stop"], 0, "stopped\n")],
)
def test_a_signal_kills_a_node_unless_the_run_stops_as_well(arguments, code, printed):
    done = subprocess.run(
        [sys.executable, "-c", _NODE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, printed), done.stderr
