import socket
import threading

import pytest

from distrl.replay import connection
from distrl.replay.connection import ServerWatch
from distrl.system.remote import is_listening


def _ignore(address):
    pass


def test_listening_server_is_found():
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        assert is_listening(address, 1.0)
        assert ServerWatch(address, 0.0, _ignore).is_there(0.0)
    assert not is_listening(address, 1.0)


def test_watch_raises_after_the_total_limit(replay):
    address = f"localhost:{replay.free_port()}"
    watch = ServerWatch(address, 0.2, _ignore)
    assert not watch.is_there(0.05)
    with pytest.raises(RuntimeError, match=f"{address} for 0.2 seconds"):
        watch.is_there(5.0)


def test_answering_server_resets_the_limit(replay):
    port = replay.free_port()
    watch = ServerWatch(f"localhost:{port}", 0.2, _ignore)
    assert not watch.is_there(0.15)
    with socket.create_server(("localhost", port)):
        assert watch.is_there(1.0)
    assert not watch.is_there(0.15)


def test_silent_server_is_reconnected_once_it_listens(replay, monkeypatch):
    monkeypatch.setattr(connection, "_SILENT_SECONDS", 0.2)
    port = replay.free_port()
    connected = threading.Event()

    def connect(address):
        connected.set()
        raise RuntimeError("an attempt may fail")

    watch = ServerWatch(f"localhost:{port}", 60.0, connect)
    watch.look()
    assert not connected.wait(0.3)
    watch.look()  # silent for long, but nothing listens yet
    assert not connected.wait(0.3)
    with socket.create_server(("localhost", port)):
        watch.begin_wait()
        watch.look()
        assert not connected.wait(0.3)
        watch.look()
        assert connected.wait(10)
