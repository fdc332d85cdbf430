"""Checks in a child process, however the child ends."""

import functools
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.checking_child import CheckLost, run_in_child

# The limit of checks that should end by themselves.
_SECONDS = 60.0


@pytest.fixture
def channel():
    near, far = Channel.pair()
    yield near
    near.close()
    far.close()


def lose_check(channel, function, seconds=_SECONDS):
    """Returns the message of the CheckLost that `function` causes."""
    with pytest.raises(CheckLost) as caught:
        list(run_in_child(lambda tell: function(), seconds, channel))
    return str(caught.value)


def test_check_reports_values_from_child_process(channel):
    def task(tell):
        tell(os.getpid())
        tell("x" * 10**6)

    pid, text = run_in_child(task, None, channel)
    assert pid != os.getpid()
    assert len(text) == 10**6


def test_config_error_in_child_is_raised_with_source_line(channel):
    def refuse(tell):
        try:
            raise KeyError("missing")
        except KeyError as error:
            raise ConfigError("seed = x: no") from error

    with pytest.raises(ConfigError) as caught:
        list(run_in_child(refuse, _SECONDS, channel))
    line = refuse.__code__.co_firstlineno + 2
    assert str(caught.value) == f"seed = x: no ({__file__}:{line})"


def test_failure_outside_user_code_is_runtime_error(channel):
    with pytest.raises(RuntimeError, match="KeyError: <function"):
        list(run_in_child(functools.partial(operator.getitem, {}), _SECONDS, channel))


def fail(error):
    raise error


def print_and_exit():
    # Pytest replaces sys.stdout.
    os.write(1, b"".join(b"line %d\n" % number for number in range(9)))
    sys.exit(2)


@pytest.mark.parametrize(
    ("function", "words", "place"),
    [
        (lambda: os._exit(3), "ended its process with exit code 3", ""),
        (lambda: os._exit(0), "ended its process with exit code 0", ""),
        (os.abort, "was killed by SIGABRT", ""),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV", __file__),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL", ""),
        (lambda: sys.exit("no ROM"), "called sys.exit('no ROM')", "file"),
        (lambda: fail(KeyboardInterrupt), "raised KeyboardInterrupt", __file__),
        (lambda: fail(KeyError("lost")), "raised KeyError: 'lost'", __file__),
        (print_and_exit, "line 5 | line 6 | line 7 | line 8", __file__),
    ],
)
def test_lost_check_is_explained_in_one_line(channel, function, words, place):
    message = lose_check(channel, function)
    assert words in message
    assert (f" ({__file__}:" if place else "") in message
    assert len(message.splitlines()) == 1


def test_hanging_check_times_out_with_source_line(channel):
    def hang():
        os.write(2, b"loading level 7\n")
        threading.Event().wait()

    message = lose_check(channel, hang, seconds=1.0)
    limit = "did not end within the 1 s of launch.check_seconds"
    assert message.startswith(f"{limit} ({__file__}:")
    assert message.endswith("; the last it printed: loading level 7")


def leave_daemonic(tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=time.sleep, args=(600,), daemon=True
    )
    process.start()
    return process.pid


def leave_double_forked(tmp_path):
    """Starts an orphan in its own session, as a daemon does."""
    file = tmp_path / "pid"
    middle = os.fork()
    if middle == 0:
        os.setsid()
        last = os.fork()
        if last == 0:
            time.sleep(600)
        file.write_text(str(last))
        os._exit(0)
    os.waitpid(middle, 0)
    return int(file.read_text())


@pytest.mark.parametrize("leave", [leave_daemonic, leave_double_forked])
def test_processes_left_by_check_are_killed(channel, tmp_path, leave):
    spared = subprocess.Popen(["sleep", "600"])
    try:
        (pid,) = run_in_child(lambda tell: tell(leave(tmp_path)), _SECONDS, channel)
        # Its parent has reaped it.
        assert not psutil.pid_exists(pid)
        # Processes that were there before the check are not its own.
        assert spared.poll() is None
    finally:
        spared.kill()
        spared.wait()


def test_check_continues_after_its_fork_exits(channel):
    def daemonise(tell):
        pid = os.fork()
        if pid == 0:
            sys.exit("the parent of a daemon")
        os.waitpid(pid, 0)
        tell("built")

    assert list(run_in_child(daemonise, _SECONDS, channel)) == ["built"]


def test_long_check_output_does_not_fill_disk(channel):
    def print_much():
        for written in range(1, 101):
            os.write(1, b"x" * 2**20)
            if os.fstat(1).st_size < written * 2**20:
                os.write(1, b"\nemptied\n")
                sys.exit(3)
            time.sleep(0.05)

    assert "emptied" in lose_check(channel, print_much)
