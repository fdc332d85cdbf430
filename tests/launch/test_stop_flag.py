"""The stop flag of a node, and how a stop reaches it."""

import os
import signal
import threading

import pytest
from pythons import run_python

from distrl.launch.stop_flag import StopFlag, call_when_told, is_told


def test_stop_flag_has_launchpad_interface():
    flag = StopFlag()
    assert flag.wait_for_stop(0) is False
    flag.set()
    assert flag.wait_for_stop(0) is True
    assert flag.stop_event().is_set()


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_only_looks_of_creating_thread_are_counted():
    flag = StopFlag()
    assert flag.count_looks() == 0
    assert not flag.is_set()
    assert flag.wait(0.001) is False
    assert flag.count_looks() == 2
    in_a_thread(flag.is_set)
    in_a_thread(lambda: flag.wait(0.001))
    assert flag.count_looks() == 2


def test_waiting_thread_counts_as_looking():
    flags = []

    def wait():
        flags.append(StopFlag())
        flags[0].wait(30)

    thread = threading.Thread(target=wait)
    thread.start()
    while not flags or flags[0].count_looks() is not None:
        assert thread.is_alive()
    flags[0].set()
    thread.join(30)
    assert flags[0].count_looks() == 1


def test_early_and_late_listeners_are_called():
    reader, writer = os.pipe()
    told = [threading.Event() for _ in range(3)]
    assert not is_told(reader)
    for event in told[:2]:
        call_when_told(reader, event.set)
    assert not any(event.is_set() for event in told)
    os.write(writer, b"!")
    call_when_told(reader, told[2].set)
    assert all(event.wait(30) for event in told)
    assert is_told(reader)


def test_closed_writer_counts_as_stop_unlike_closed_reader():
    reader, writer = os.pipe()
    os.close(writer)
    assert is_told(reader)
    os.close(reader)
    assert not is_told(reader)


_NODE = """
import os, signal, sys, threading
from distrl.launch.stop_flag import StopFlag, call_when_told
flag, (reader, writer) = StopFlag(), os.pipe()
flag.die_of(signal.SIGTERM)
call_when_told(reader, flag.set)
# Another thread takes the signal, so that nothing wakes the main thread.
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
if "stop" in sys.argv:
    os.write(writer, b"!")
    flag.stop_event().wait()
os.kill(os.getpid(), signal.SIGTERM)
flag.stop_event().wait()
print("stopped", flush=True)
# Like a node, without finalization, which would restore the default handler.
os._exit(0)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [([], -signal.SIGTERM, ""), (["stop"], 0, "stopped\n")],
)
def test_sigterm_kills_node_unless_run_stops(arguments, code, printed):
    done = run_python("-c", _NODE, *arguments)
    assert (done.returncode, done.stdout) == (code, printed), done.stderr
