"""A thread reads ahead, by one, and outlives a read that never ends."""

import queue
import threading

import pytest
from real_services import wait_until

from distrl.replay.reading import SamplerThread


class ScriptedSampler:
    """Reads what is put into `results`; `successor` is what `recover` returns."""

    def __init__(self, *results):
        self.results = queue.Queue()
        for result in results:
            self.results.put(result)
        self.successor = None
        self.closed = threading.Event()

    def read(self):
        result = self.results.get(timeout=30)
        if isinstance(result, Exception):
            raise result
        return result

    def recover(self):
        return self.successor

    def close(self):
        self.closed.set()


def test_results_come_converted_in_their_order_and_silence_is_passed_over():
    arrived = threading.Event()
    sampler = ScriptedSampler(1, None, 2, None, 3, None)
    thread = SamplerThread(sampler, lambda result: -result, arrived)
    assert arrived.wait(10)
    assert [thread.get(10) for _ in range(3)] == [-1, -2, -3]
    assert thread.get(0) is None
    thread.end()
    sampler.results.put(None)
    assert sampler.closed.wait(10)


def test_it_reads_one_ahead_and_holds_one():
    sampler = ScriptedSampler(1, 2, 3)
    read = []
    thread = SamplerThread(sampler, read.append)
    wait_until(lambda: len(read) == 2)
    # It cannot leave the second before the first is taken.
    assert sampler.results.qsize() == 1
    thread.close(10)
    assert sampler.closed.is_set() and read == [1, 2]


def test_an_error_is_raised_by_get_and_wakes_who_waits():
    arrived = threading.Event()
    sampler = ScriptedSampler(ValueError("no such table"))
    thread = SamplerThread(sampler, print, arrived)
    assert arrived.wait(10)
    with pytest.raises(RuntimeError, match="reading replay failed") as caught:
        thread.get(10)
    assert str(caught.value.__cause__) == "no such table"
    assert sampler.closed.wait(10)


@pytest.mark.parametrize("late", [1, ValueError("late")])
def test_a_read_that_does_not_end_is_left_to_itself(late):
    stuck, fresh = ScriptedSampler(), ScriptedSampler(2)
    thread = SamplerThread(stuck, lambda result: result)
    assert thread.get(0) is None
    stuck.successor = fresh
    assert thread.get(0) is None
    assert thread.get(10) == 2
    # What it reads or meets after all is nothing to anybody.
    stuck.results.put(late)
    assert stuck.closed.wait(10)
    fresh.results.put(3)
    assert thread.get(10) == 3
    fresh.results.put(None)
    thread.close(10)
