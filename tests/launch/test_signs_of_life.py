"""Signs of life that nodes send, and how hanging nodes are noticed."""

import os
import socket
import time

import pytest

from distrl.config import LaunchConfig
from distrl.launch.channel import Channel
from distrl.launch.messages import Sign
from distrl.launch.signs_of_life import Signs, WorkingClock, send_signs, signing_period
from distrl.launch.stop_flag import StopFlag


def test_signs_report_whether_main_thread_looked_at_flag():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox, flag = Channel(near), StopFlag()
    send_signs("actor/1", flag, Channel(far), period=0.01)
    assert inbox.receive() == Sign("actor/1", os.getpid(), looked=False)
    flag.is_set()
    # One of the next signs reports the look, and later signs do not.
    while not inbox.receive().looked:
        continue
    assert not any(inbox.receive().looked for _ in range(3))
    # Signs sent while this thread waits for the flag report that it looks.
    flag.wait(0.1)
    assert sum(inbox.receive().looked for _ in range(8)) >= 2


@pytest.mark.parametrize(("silent_seconds", "period"), [(30.0, 1.0), (2.0, 0.5)])
def test_signing_period_depends_on_silent_seconds(silent_seconds, period):
    assert signing_period(LaunchConfig(silent_seconds=silent_seconds)) == period


@pytest.mark.parametrize(
    ("signed", "looked", "start_seconds", "fault"),
    [
        (98.0, 98.0, 60.0, None),
        (97.9, 98.0, 60.0, "gave no sign of life for 2 s (launch.silent_seconds)"),
        (100.0, 97.9, 60.0, "main thread did not get on for 2 s (launch.silent_secon"),
        # It may still be importing and compiling.
        (100.0, None, 100.0, None),
        (100.0, None, None, None),
        (100.0, None, 99.0, "did not begin to work within 99 s (launch.start_seconds)"),
    ],
)
def test_hanging_node_is_described(signed, looked, start_seconds, fault):
    launch = LaunchConfig(silent_seconds=2.0, start_seconds=start_seconds)
    described = Signs(0.0, signed, looked).describe_hang(100.0, launch)
    assert described is None if fault is None else fault in described


def test_working_clock_limits_each_step(monkeypatch):
    times = iter([100.0, 101.5, 101.5, 500.0, 501.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    clock = WorkingClock(2.0)
    assert [clock.tick() for _ in range(4)] == [1.5, 1.5, 3.5, 4.5]
    assert clock.now == 4.5
