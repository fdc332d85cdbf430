"""The host's process: it ends by itself or at once, and says how."""

import pytest

from distrl.launch.host_process import HostProcess


@pytest.fixture
def host(tmp_path):
    made = HostProcess(tmp_path)
    yield made
    made.close()


def test_one_whose_channel_is_closed_ends_by_itself(host):
    host.channel.close()
    host.end(patiently=True)
    assert host.describe_end() == "The launcher's host process ended: exit code 0."


def test_one_that_waits_is_ended_at_once(host, monkeypatch):
    host.end(patiently=False)
    # Nobody is left at the other end of the channel.
    assert host.channel.receive() is None
    monkeypatch.setattr("distrl.system.machine.MemoryKills.tick", lambda _: True)
    first = host.describe_end().splitlines()[0]
    assert first.endswith("killed by SIGKILL (out of memory).")
