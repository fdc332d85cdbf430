"""SIGINT and SIGTERM, waited for with `select`."""

import os
import select
import signal
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
