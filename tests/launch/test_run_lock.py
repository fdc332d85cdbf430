"""One run at a time: the lock lasts as long as any process has the descriptor."""

import os
import subprocess
import sys

import pytest

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.messages import Stop
from distrl.launch.run_lock import NAME, lock_run_dir, read_holder, unlock_unchanged

# Holds what it inherits until its stdin is closed.
HOLD = "import sys; print('there', flush=True); sys.stdin.read()"


def hold_elsewhere(descriptor):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[descriptor],
    )
    assert holder.stdout.readline() == "there\n"
    return holder


def test_a_directory_is_locked_once(tmp_path):
    lock = lock_run_dir(tmp_path)
    with pytest.raises(ConfigError, match=f"in use.*process {os.getpid()} "):
        lock_run_dir(tmp_path)
    os.close(lock)
    os.close(lock_run_dir(tmp_path))
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", ["close", "kill"])
def test_it_lasts_until_the_last_process_that_holds_it_has_ended(tmp_path, end):
    lock = lock_run_dir(tmp_path)
    holder = hold_elsewhere(lock)
    os.close(lock)
    with pytest.raises(ConfigError, match="in use"):
        lock_run_dir(tmp_path)
    if end == "close":
        holder.stdin.close()
    else:
        holder.kill()
    holder.wait(30)
    holder.stdout.close()
    os.close(lock_run_dir(tmp_path))


def test_a_process_that_is_only_started_does_not_hold_it(tmp_path):
    lock = lock_run_dir(tmp_path)
    other = os.open(tmp_path, os.O_RDONLY)
    holder = hold_elsewhere(other)
    os.close(lock)
    os.close(lock_run_dir(tmp_path))
    holder.communicate(timeout=30)
    os.close(other)


def test_it_is_handed_on_by_a_channel(tmp_path):
    lock = lock_run_dir(tmp_path)
    here, there = Channel.pair()
    assert here.send(Stop(), lock)
    os.close(lock)
    assert there.receive() == Stop()
    (descriptor,) = there.descriptors
    with pytest.raises(ConfigError, match="in use"):
        lock_run_dir(tmp_path)
    os.close(descriptor)
    os.close(lock_run_dir(tmp_path))
    here.close()
    there.close()


def test_what_cannot_be_locked_is_refused(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be opened"):
        lock_run_dir(tmp_path)


def test_a_lock_that_is_given_back_leaves_its_file_as_it_was(tmp_path):
    (tmp_path / NAME).write_text("123\n")
    holder = read_holder(tmp_path)
    lock = lock_run_dir(tmp_path)
    assert read_holder(tmp_path) == f"{os.getpid()}\n"
    unlock_unchanged(lock, holder)
    assert (tmp_path / NAME).read_text() == "123\n"
    os.close(lock_run_dir(tmp_path))
