"""The host's process: it ends by itself or at once, and says how."""

import pytest

from distrl.launch.channel import Channel
from distrl.launch.host_process import HostProcess


@pytest.fixture
def channel():
    near, far = Channel.pair()
    yield near, far
    near.close()
    far.close()


def test_one_that_nobody_asks_for_anything_ends_by_itself(tmp_path, channel):
    near, far = channel
    host = HostProcess(far.fileno(), tmp_path)
    far.close()
    near.close()
    host.end(patiently=True)
    assert host.describe_end(False) == "The launcher's host process ended: exit code 0."
    host.close()


def test_one_that_waits_is_ended_at_once(tmp_path, channel):
    near, far = channel
    host = HostProcess(far.fileno(), tmp_path)
    far.close()
    host.end(patiently=False)
    # Nobody is left at the other end of the channel.
    assert near.receive() is None
    text = host.describe_end(memory_ran_out=True)
    assert text.splitlines()[0].endswith("killed by SIGKILL (out of memory).")
    host.close()
