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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_wakes_select(caught, number):
    assert not is_readable(caught, 0)
    assert caught.first is None
    send(caught, number)
    assert (caught.first, caught.is_repeated) == (number, False)


def test_second_signal_counts_as_repeated(caught):
    send(caught, signal.SIGTERM, signal.SIGINT)
    assert (caught.first, caught.is_repeated) == (signal.SIGTERM, True)


def test_closed_terminal_signals_do_not_count_as_repeated(caught):
    send(caught, signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    assert (caught.first, caught.is_repeated) == (signal.SIGHUP, False)
    send(caught, signal.SIGTERM)
    assert caught.is_repeated


def test_ignored_sighup_stays_ignored():
    code = "import os, signal; from distrl.launch.caught_signals import CaughtSignals\n"
    code += "caught = CaughtSignals(); os.kill(os.getpid(), signal.SIGHUP)\n"
    code += "print(caught.first)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_signal_handlers_are_restored_on_close():
    before = signal.getsignal(signal.SIGTERM)
    caught = CaughtSignals()
    assert signal.getsignal(signal.SIGTERM) != before
    caught.close()
    assert signal.getsignal(signal.SIGTERM) == before


def test_signals_are_not_caught_outside_main_thread():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def catch():
        caught = CaughtSignals()
        seen.append(signal.getsignal(signal.SIGTERM))
        caught.close()

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join(10)
    assert seen == [before]
