"""How the host process is ended, and how its end is described."""


def test_host_ends_by_itself_after_channel_closes(host):
    host.channel.close()
    host.end(patiently=True)
    assert host.describe_end() == "The launcher's host process ended: exit code 0."


def test_impatient_end_kills_waiting_host(host, monkeypatch):
    host.end(patiently=False)
    # The other end of the channel is closed.
    assert host.channel.receive() is None
    monkeypatch.setattr("distrl.system.machine.MemoryKills.tick", lambda _: True)
    first = host.describe_end().splitlines()[0]
    assert first.endswith("killed by SIGKILL (out of memory).")
