"""A node shows that it works by looking at its stop flag; silence is noticed."""

import os
import socket
import threading

import pytest
from clocks import Clock

from distrl.launch.channel import Channel
from distrl.launch.messages import Sign
from distrl.launch.signs_of_life import (
    LookedAtEvent,
    Watch,
    WorkingClock,
    send_signs,
    signing_period,
)


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_an_event_counts_the_looks_of_the_thread_that_made_it():
    event = LookedAtEvent()
    assert event.count_looks() == 0
    assert not event.is_set()
    assert event.wait(0.001) is False
    assert event.count_looks() == 2
    in_a_thread(event.is_set)
    in_a_thread(lambda: event.wait(0.001))
    assert event.count_looks() == 2
    event.set()
    assert event.is_set()
    assert event.wait() is True
    assert event.count_looks() == 4


def test_a_thread_that_waits_looks_all_the_time():
    events, answers = [], []

    def wait():
        events.append(LookedAtEvent())
        answers.append(events[0].wait(30))

    thread = threading.Thread(target=wait)
    thread.start()
    while not events or events[0].count_looks() is not None:
        assert thread.is_alive()
    events[0].set()
    thread.join(30)
    assert answers == [True]
    assert events[0].count_looks() == 1


def receive(inbox, count):
    return [inbox.receive() for _ in range(count)]


def test_signs_say_whether_the_main_thread_has_looked_since_the_last():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox, event = Channel(near), LookedAtEvent()
    send_signs("actor/1", event, Channel(far), period=0.01)
    assert receive(inbox, 1) == [Sign("actor/1", os.getpid(), looked=False)]
    event.is_set()
    # One of those that follow says so, and then none any more.
    while not receive(inbox, 1)[0].looked:
        continue
    assert not any(sign.looked for sign in receive(inbox, 3))
    # Those sent while this thread waited for the flag say that it looks.
    event.wait(0.1)
    assert sum(sign.looked for sign in receive(inbox, 8)) >= 2


def test_signs_come_once_a_second_or_often_enough_to_be_missed():
    assert signing_period(30.0) == 1.0
    assert signing_period(2.0) == 0.5


@pytest.fixture
def clock():
    return Clock(1000.0)


def go_on(watch, clock, seconds, *signs):
    """Lets time go by in steps, with signs of `(node, looked)` at each."""
    for _ in range(round(seconds / 0.5)):
        clock.now += 0.5
        watch.tick()
        for node, looked in signs:
            watch.note(node, looked)


def test_a_node_without_signs_hangs(clock):
    watch = Watch(2.0, None, clock)
    watch.begin("quiet")
    watch.begin("loud")
    go_on(watch, clock, 2.0, ("loud", False))
    assert watch.find_hung() == {}
    go_on(watch, clock, 0.5, ("loud", False))
    assert watch.find_hung() == {
        "quiet": "gave no sign of life for 2 s (launch.silent_seconds)"
    }
    watch.forget("quiet")
    assert watch.find_hung() == {}


def test_looks_are_asked_for_from_the_first_one_on(clock):
    watch = Watch(2.0, None, clock)
    watch.begin("node")
    # It imports and compiles.
    go_on(watch, clock, 60.0, ("node", False))
    assert watch.find_silence("node") is None
    assert watch.find_hung() == {}
    watch.note("node", True)
    go_on(watch, clock, 2.0, ("node", False))
    assert watch.find_silence("node") == 2.0
    assert watch.find_hung() == {}
    go_on(watch, clock, 0.5, ("node", False))
    (fault,) = watch.find_hung().values()
    assert "main thread" in fault
    assert "launch.silent_seconds" in fault
    # The next life begins anew.
    watch.begin("node")
    assert watch.find_hung() == {}
    assert watch.find_silence("node") is None


def test_a_node_that_does_not_begin_to_work_is_named_and_then_hangs(clock):
    watch = Watch(2.0, 5.0, clock)
    watch.begin("working")
    watch.begin("waiting")
    watch.note("working", True)
    signs = [("working", True), ("waiting", False)]
    go_on(watch, clock, 2.0, *signs)
    assert watch.find_late() == []
    go_on(watch, clock, 0.5, *signs)
    assert watch.find_late() == ["waiting"]
    # Once is enough.
    assert watch.find_late() == []
    go_on(watch, clock, 2.5, *signs)
    assert watch.find_hung() == {}
    go_on(watch, clock, 0.5, *signs)
    assert watch.find_hung() == {
        "waiting": "did not begin to work within 5 s (launch.start_seconds)"
    }


def test_time_in_which_the_supervisor_itself_was_stopped_counts_little(clock):
    watch = Watch(2.0, None, clock)
    watch.begin("node")
    clock.now += 3600.0
    watch.tick()
    assert watch.find_hung() == {}
    go_on(watch, clock, 1.5)
    assert list(watch.find_hung()) == ["node"]


def test_a_sign_of_a_node_that_is_not_watched_is_nothing(clock):
    watch = Watch(2.0, None, clock)
    watch.note("gone", True)
    assert watch.find_silence("gone") is None


def test_a_clock_counts_no_more_than_the_longest_step():
    times = iter([100.0, 101.5, 101.5, 500.0, 501.0])
    clock = WorkingClock(2.0, lambda: next(times))
    assert clock.now == 0.0
    assert [clock.tick() for _ in range(4)] == [1.5, 1.5, 3.5, 4.5]
    assert clock.now == 4.5
