import socket

import pytest

from distrl.replay.connection import ServerProbe, is_listening


def test_a_listening_port_is_there(replay):
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        assert is_listening(address, 1.0)
        assert ServerProbe(address, limit=0.0).wait(0.0)
    assert not is_listening(address, 1.0)


def test_gives_up_after_the_limit_in_all(replay):
    address = f"localhost:{replay.free_port()}"
    probe = ServerProbe(address, limit=0.2)
    assert not probe.wait(0.05)
    with pytest.raises(RuntimeError, match=f"{address} for 0.2 seconds"):
        probe.wait(5.0)


def test_the_limit_begins_anew_when_the_server_was_there(replay):
    port = replay.free_port()
    probe = ServerProbe(f"localhost:{port}", limit=0.2)
    assert not probe.wait(0.15)
    with socket.create_server(("localhost", port)):
        assert probe.wait(1.0)
    assert not probe.wait(0.15)
