"""Waiting for SIGINT, SIGTERM and SIGHUP with `select`."""

import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from distrl.launch.caught_signals import CaughtSignals


@pytest.fixture
def caught():
    made = CaughtSignals()
    yield made
    made.close()


def is_readable(caught, seconds):
    return bool(select.select([caught], [], [], seconds)[0])


def send(caught, *numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
        assert is_readable(caught, 10)
        caught.read()
    assert not is_readable(caught, 0)


@pytest.mark.parametrize(
    ("numbers", "is_repeated"),
    [
        ([signal.SIGINT], False),
        ([signal.SIGTERM, signal.SIGINT], True),
        # A terminal that closes.
        ([signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP], False),
        ([signal.SIGHUP, signal.SIGTERM, signal.SIGTERM], True),
    ],
)
def test_signals_wake_select_and_may_be_repeated(caught, numbers, is_repeated):
    assert caught.first is None
    send(caught, *numbers)
    assert (caught.first, caught.is_repeated) == (numbers[0], is_repeated)


def test_ignored_sighup_stays_ignored():
    code = "import os, signal; from distrl.launch.caught_signals import CaughtSignals\n"
    code += "caught = CaughtSignals(); os.kill(os.getpid(), signal.SIGHUP)\n"
    code += "print(caught.first)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_main_thread_catches_signals_until_close():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def catch():
        caught = CaughtSignals()
        seen.append(signal.getsignal(signal.SIGTERM) == before)
        caught.close()

    catch()
    assert signal.getsignal(signal.SIGTERM) == before
    thread = threading.Thread(target=catch)
    thread.start()
    thread.join(10)
    assert seen == [False, True]
