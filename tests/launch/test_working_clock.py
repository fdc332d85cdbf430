"""A clock that leaves out the time in which nobody looked at it."""

from distrl.launch.working_clock import WorkingClock


def test_it_counts_no_more_than_the_longest_step():
    times = iter([100.0, 101.5, 101.5, 500.0, 501.0])
    clock = WorkingClock(2.0, lambda: next(times))
    assert clock.now == 0.0
    assert [clock.tick() for _ in range(4)] == [1.5, 1.5, 3.5, 4.5]
    assert clock.now == 4.5
