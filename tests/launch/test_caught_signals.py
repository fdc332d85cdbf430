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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_one_wakes_a_waiting_loop(caught, number):
    assert not is_readable(caught, 0)
    assert caught.first is None
    os.kill(os.getpid(), number)
    assert is_readable(caught, 10)
    caught.read()
    assert not is_readable(caught, 0)
    assert (caught.first, caught.is_repeated) == (number, False)


def test_a_second_one_is_told_apart_and_the_first_counts(caught):
    os.kill(os.getpid(), signal.SIGTERM)
    assert is_readable(caught, 10)
    caught.read()
    os.kill(os.getpid(), signal.SIGINT)
    assert is_readable(caught, 10)
    assert (caught.first, caught.is_repeated) == (signal.SIGTERM, True)


def test_a_terminal_that_closes_may_say_so_twice_and_be_followed_by_sigterm(caught):
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
        assert is_readable(caught, 10)
        caught.read()
    assert (caught.first, caught.is_repeated) == (signal.SIGHUP, False)
    os.kill(os.getpid(), signal.SIGTERM)
    assert is_readable(caught, 10)
    assert caught.is_repeated


def test_a_sighup_that_is_ignored_stays_so(tmp_path):
    code = "import os, signal; from distrl.launch.caught_signals import CaughtSignals\n"
    code += "caught = CaughtSignals(); os.kill(os.getpid(), signal.SIGHUP)\n"
    code += "print(caught.first)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    caught = CaughtSignals()
    assert signal.getsignal(signal.SIGTERM) not in before
    caught.close()
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == before


def test_in_another_thread_nothing_is_caught():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def catch():
        caught = CaughtSignals()
        seen.append(signal.getsignal(signal.SIGTERM))
        caught.close()

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join(10)
    assert seen == [before]
