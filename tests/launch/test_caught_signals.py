"""SIGINT, SIGTERM and SIGHUP, waited for with `select`."""

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
def test_first_one_wakes_a_waiting_loop(caught, number):
    assert not is_readable(caught, 0)
    assert caught.first is None
    send(caught, number)
    assert (caught.first, caught.is_repeated) == (number, False)


def test_second_one_repeats_the_first(caught):
    send(caught, signal.SIGTERM, signal.SIGINT)
    assert (caught.first, caught.is_repeated) == (signal.SIGTERM, True)


def test_closed_terminal_may_send_sighup_twice_and_sigterm(caught):
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


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    caught = CaughtSignals()
    assert signal.getsignal(signal.SIGTERM) != before
    caught.close()
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_is_caught_in_another_thread():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def catch():
        caught = CaughtSignals()
        seen.append(signal.getsignal(signal.SIGTERM))
        caught.close()

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join(10)
    assert seen == [before]
