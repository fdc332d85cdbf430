"""A check in a child always has an answer, whatever the child does."""

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

# The limit of a check that is to end by itself.
_SECONDS = 60.0


@pytest.fixture
def channel():
    near, far = Channel.pair()
    yield near
    near.close()
    far.close()


def lose_check(channel, function, seconds=_SECONDS):
    """Returns how a check was lost in which `function` was called."""
    with pytest.raises(CheckLost) as caught:
        list(run_in_child(lambda tell: function(), seconds, channel))
    return str(caught.value)


def test_a_check_tells_from_a_process_of_its_own(channel):
    def task(tell):
        tell(os.getpid())
        tell("x" * 10**6)

    pid, text = run_in_child(task, None, channel)
    assert pid != os.getpid()
    assert len(text) == 10**6


def test_a_refusal_is_one_here_too_and_has_the_users_line(channel):
    def refuse(tell):
        try:
            raise KeyError("missing")
        except KeyError as error:
            raise ConfigError("seed = x: no") from error

    with pytest.raises(ConfigError) as caught:
        list(run_in_child(refuse, _SECONDS, channel))
    line = refuse.__code__.co_firstlineno + 2
    assert str(caught.value) == f"seed = x: no ({__file__}:{line})"


def test_a_failure_that_is_not_of_the_users_code_comes_with_its_traceback(channel):
    with pytest.raises(RuntimeError, match="KeyError: <function"):
        list(run_in_child(functools.partial(operator.getitem, {}), _SECONDS, channel))


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise KeyError("lost")


def print_and_exit():
    # Pytest has a stdout of its own.
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
        (interrupt, "raised KeyboardInterrupt", __file__),
        (fail, "raised KeyError: 'lost'", __file__),
        (print_and_exit, "line 5 | line 6 | line 7 | line 8", __file__),
    ],
)
def test_how_a_check_was_lost_is_one_sentence(channel, function, words, place):
    message = lose_check(channel, function)
    assert words in message
    assert (f" ({__file__}:" if place else "") in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("wait", [threading.Event().wait, lambda: time.sleep(600)])
def test_a_check_that_does_not_end_is_given_up_with_its_place(channel, wait):
    def hang():
        os.write(2, b"loading level 7\n")
        wait()

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


def leave_subprocess(tmp_path):
    return subprocess.Popen(["sleep", "600"]).pid


def leave_double_forked(tmp_path):
    """As a daemon does: in a session of its own, its parent gone."""
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


@pytest.mark.parametrize(
    "leave", [leave_daemonic, leave_subprocess, leave_double_forked]
)
def test_what_a_check_left_behind_neither_delays_it_nor_lives_on(
    channel, tmp_path, leave
):
    spared = subprocess.Popen(["sleep", "600"])
    try:
        (pid,) = run_in_child(lambda tell: tell(leave(tmp_path)), _SECONDS, channel)
        deadline = time.monotonic() + 30
        while _lives(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # What was there before is not the check's.
        assert spared.poll() is None
    finally:
        spared.kill()
        spared.wait()


def _lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_fork_that_exits_does_not_answer_for_the_check(channel):
    def daemonise(tell):
        pid = os.fork()
        if pid == 0:
            sys.exit("the parent of a daemon")
        os.waitpid(pid, 0)
        tell("built")

    assert list(run_in_child(daemonise, _SECONDS, channel)) == ["built"]


def test_what_a_check_prints_does_not_fill_the_disk(channel):
    def print_much():
        for written in range(1, 101):
            os.write(1, b"x" * 2**20)
            if os.fstat(1).st_size < written * 2**20:
                os.write(1, b"\nemptied\n")
                sys.exit(3)
            time.sleep(0.05)

    assert "emptied" in lose_check(channel, print_much)
