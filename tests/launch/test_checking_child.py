"""A check in a child always has an answer, whatever the child does."""

import errno
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
from distrl.launch.checking_child import check_in_child
from distrl.system.children import adopt_orphans

# The limit of a check that is to end by itself.
_SECONDS = 60.0


@pytest.fixture
def channel():
    near, far = Channel.pair()
    adopt_orphans()
    yield near
    adopt_orphans(False)
    near.close()
    far.close()


def refuse_check(channel, function, seconds=_SECONDS):
    """Returns the message of a check of a part `it` in which `function` is called."""

    def check(begin):
        begin("it")
        function()

    with pytest.raises(ConfigError) as caught:
        check_in_child(channel, check, seconds)
    return str(caught.value)


def test_a_check_answers_from_a_process_of_its_own(channel):
    answer = check_in_child(channel, lambda begin: (os.getpid(), "x" * 10**6), None)
    assert answer[0] != os.getpid()
    assert len(answer[1]) == 10**6


def test_a_refusal_is_one_here_too_and_has_the_users_line(channel):
    def refuse():
        try:
            raise KeyError("missing")
        except KeyError as error:
            raise ConfigError("seed = x: no") from error

    message = refuse_check(channel, refuse)
    assert message == f"seed = x: no ({__file__}:{refuse.__code__.co_firstlineno + 2})"


def test_a_failure_that_is_not_of_the_users_code_comes_with_its_traceback(channel):
    with pytest.raises(RuntimeError, match="KeyError: <function"):
        check_in_child(channel, functools.partial(operator.getitem, {}), _SECONDS)


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
        (lambda: os._exit(3), "it: the check ended its process with exit code 3", ""),
        (lambda: os._exit(0), "it: the check ended its process with exit code 0", ""),
        (os.abort, "it: the check was killed by SIGABRT", ""),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV", __file__),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL", ""),
        (lambda: sys.exit("no ROM"), "it: the check called sys.exit('no ROM')", "file"),
        (interrupt, "it: the check raised KeyboardInterrupt", __file__),
        (fail, "it: the check raised KeyError: 'lost'", __file__),
        (print_and_exit, "line 5 | line 6 | line 7 | line 8", __file__),
    ],
)
def test_how_a_check_was_lost_is_one_sentence(channel, function, words, place):
    message = refuse_check(channel, function)
    assert words in message
    assert (f" ({__file__}:" if place else "") in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("wait", [threading.Event().wait, lambda: time.sleep(600)])
def test_a_check_that_does_not_end_is_given_up_with_its_place(channel, wait):
    def hang():
        os.write(2, b"loading level 7\n")
        wait()

    message = refuse_check(channel, hang, seconds=1.0)
    assert message.startswith(f"it: the check did not end within 1 s ({__file__}:")
    assert message.endswith(
        "; the last it printed: loading level 7 (launch.check_seconds)"
    )


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
        pid = check_in_child(channel, lambda begin: leave(tmp_path), _SECONDS)
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


def test_what_a_check_prints_does_not_fill_the_disk(channel):
    def print_much():
        for written in range(1, 101):
            os.write(1, b"x" * 2**20)
            if os.fstat(1).st_size < written * 2**20:
                os.write(1, b"\nemptied\n")
                sys.exit(3)
            time.sleep(0.05)

    assert "emptied" in refuse_check(channel, print_much)


def test_a_fork_that_exits_does_not_answer_for_the_check(channel):
    def daemonise(begin):
        pid = os.fork()
        if pid == 0:
            sys.exit("the parent of a daemon")
        os.waitpid(pid, 0)
        return "built"

    assert check_in_child(channel, daemonise, _SECONDS) == "built"


def test_a_process_that_the_system_refuses_is_one_sentence(channel, monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(ConfigError, match="cannot start a process: Resource temp"):
        check_in_child(channel, lambda begin: None, _SECONDS)
